// Tries for the lock of a folder, says whether it got it, and holds it a while:  node holder.mjs FOLDER MILLISECONDS
import { lockFolder } from '../../dist/train/lock.js'

const [folder, time] = process.argv.slice(2)
try {
  lockFolder(folder)
  process.stdout.write('got\n')
  setTimeout(() => process.exit(0), Number(time)) // without giving it back: as one that dies
} catch (error) {
  process.stdout.write(`${error.code}\n`)
}
