/** The utility process: it trains and answers, so that neither the window nor the main process ever waits. */
import type { Asked } from './messages.ts'
import { type Places, Training } from './training.ts'

/** process.parentPort, as Electron makes it */
interface ParentPort {
  on(event: 'message', hear: (event: { data: Asked }) => void): void
  postMessage(message: unknown): void
}
const { parentPort } = process as unknown as { parentPort: ParentPort }

const training = new Training(JSON.parse(process.argv.at(-1)!) as Places)
parentPort.on('message', ({ data }) => void training.hear(data, (told) => parentPort.postMessage(told)))
