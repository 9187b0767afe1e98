// Loaded before anything else: JavaScript has no buffers of memory that isn't its own, as within Electron (whose error this is, by koffi).
const { createRequire } = require('node:module')
const { existsSync, readdirSync } = require('node:fs')
const { join } = require('node:path')

const packages = join(__dirname, '../../node_modules/@koromix')
for (const name of existsSync(packages) ? readdirSync(packages) : []) {
  createRequire(__filename)(join(packages, name)).view = () => {
    throw new Error('This runtime does not support external buffers')
  }
}
