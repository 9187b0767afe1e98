import type { NextConfig } from 'next'

const config: NextConfig = {
  // it loads a native library, and starts the process that trains from its own files: a bundler has to leave it as it is
  serverExternalPackages: ['saqr'],
}
export default config
