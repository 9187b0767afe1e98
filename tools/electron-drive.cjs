// Begins the packed example within Electron (tools/electron.mjs), and presses what a person would press.
const { writeFileSync } = require('node:fs')
const { app } = require('electron')

const { until, picture } = JSON.parse(process.env.SAQR_DRIVE)

/** what the page shows, over and over, until it is told */
const looks = `new Promise((done) => {
  const text = (id) => document.getElementById(id).textContent
  const shown = () => ({ status: text('status'), log: text('log'), error: text('error'), answer: text('answer'), step: document.querySelector('progress').value })
  const [train, ask] = ['train', 'ask'].map((id) => document.querySelector('#' + id + ' [type=submit]'))
  let left = 0, before = ''
  const timer = setInterval(() => {
    const now = shown()
    if (now.error || (${until} && now.step >= ${until})) left = 3
    else if (${until} && !train.disabled) train.click()
    else if (!document.getElementById('ask').hidden && document.getElementById('answer').hidden) ask.click()
    else if (now.answer && now.answer === before) left++
    else { left = 0; before = now.answer }
    if (left < 3) return
    clearInterval(timer)
    done(now)
  }, 500)
})`

app.on('browser-window-created', (_, window) => {
  window.webContents.on('console-message', (_, __, message) => console.error(message))
  window.webContents.once('did-finish-load', async () => {
    const shown = await window.webContents.executeJavaScript(looks)
    if (picture) writeFileSync(picture, (await window.webContents.capturePage()).toPNG())
    process.stdout.write(`SHOWN ${JSON.stringify({ ...shown, versions: process.versions })}\n`)
    if (!until) app.quit()
  })
})
require('./main.js')
