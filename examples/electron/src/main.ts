/** The main process: a window, and the trainer beside it. */
import { join } from 'node:path'
import { app, BrowserWindow, ipcMain, utilityProcess } from 'electron'
import { type Child, Trainer } from './calls.ts'
import type { Calls, Name } from './messages.ts'

const page = join(import.meta.dirname, '../page/index.html')
const saqr = join(app.getAppPath(), 'node_modules/saqr')
const CALLS: readonly Name[] = ['train', 'follow', 'cancel', 'ask']

const trainer = new Trainer(() => {
  const places = {
    // a model of the Hub ('HuggingFaceTB/SmolLM2-135M-Instruct'), a folder or a .gguf file; this one comes with saqr
    model: join(saqr, 'assets/quickstart/model'),
    rows: join(saqr, 'assets/quickstart/train.jsonl'),
    jobsDir: join(app.getPath('userData'), 'jobs'),
  }
  const child = utilityProcess.fork(join(import.meta.dirname, 'trainer.js'), [JSON.stringify(places)], { serviceName: 'saqr' })
  return child as unknown as Child
})

ipcMain.handle('call', async (event, id: number, call: Name, given: Calls[Name]['given']) => {
  if (!CALLS.includes(call)) throw new Error(`there is no call ${String(call)}`)
  const { sender } = event
  return await trainer.call(call, given, (piece) => {
    if (!sender.isDestroyed()) sender.send('piece', id, piece)
  })
})

await app.whenReady()
const window = new BrowserWindow({
  width: 820,
  height: 720,
  webPreferences: { preload: join(import.meta.dirname, 'preload.cjs'), contextIsolation: true, sandbox: true, nodeIntegration: false },
})
// the page stays the one that it is
window.webContents.on('will-navigate', (event) => event.preventDefault())
window.webContents.setWindowOpenHandler(() => ({ action: 'deny' }))
await window.loadFile(page)
// what trains sees that the app is gone, and saves where it is
app.on('window-all-closed', () => app.quit())
