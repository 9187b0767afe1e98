#!/usr/bin/env node
/** What `saqr` starts with: from here on Node keeps what it compiled, and finds it when the command is called again. */
import module from 'node:module'

// 22.8 and later; NODE_DISABLE_COMPILE_CACHE=1 forbids it
;(module as { enableCompileCache?(): void }).enableCompileCache?.()
const { main } = await import('./main.ts')
void main(process.argv.slice(2))
