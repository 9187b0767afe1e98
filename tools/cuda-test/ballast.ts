/** Takes all memory of the card but so many bytes, until standard input ends.  node ballast.js BYTES */
import { Card } from '../../src/devices/cuda/card.ts'

const card = new Card()
const memory = card.alloc(card.memory().free - Number(process.argv[2]), 'the ballast')
console.log(`${card.memory().free} bytes free`)
process.stdin.on('end', () => {
  card.free(memory)
  card.dispose()
})
process.stdin.resume()
