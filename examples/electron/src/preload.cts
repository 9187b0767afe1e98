/** What the page can do: four calls, and nothing of Node or Electron. */
import { contextBridge, ipcRenderer, webUtils } from 'electron'

type Hear = (piece: unknown) => void

const hears = new Map<number, Hear>()
let last = 0
ipcRenderer.on('piece', (_event: unknown, id: number, piece: unknown) => hears.get(id)?.(piece))

async function call(name: string, given: object, hear: Hear): Promise<unknown> {
  const id = ++last
  hears.set(id, hear)
  try {
    return await ipcRenderer.invoke('call', id, name, given)
  } finally {
    hears.delete(id)
  }
}

contextBridge.exposeInMainWorld('training', {
  train: (rows: File | null, hear: Hear) => call('train', { rows: rows && webUtils.getPathForFile(rows) }, hear),
  follow: (hear: Hear) => call('follow', {}, hear),
  cancel: () => call('cancel', {}, () => {}),
  ask: (model: string, prompt: string, hear: Hear) => call('ask', { model, prompt }, hear),
})
