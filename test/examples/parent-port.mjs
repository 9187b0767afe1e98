// A child process of Node's in the place of Electron's utility process:  node parent-port.mjs TRAINER PLACES
import { pathToFileURL } from 'node:url'

process.parentPort = {
  on: (_message, hear) => process.on('message', (data) => hear({ data })),
  postMessage: (message) => process.send(message),
}
process.on('disconnect', () => process.exit()) // as Electron ends it with the app
await import(pathToFileURL(process.argv[2]).href)
