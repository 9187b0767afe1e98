/** Packages that are of one system alone: saqr's own library and the one that calls libraries. */
import { createRequire } from 'node:module'
import { SaqrError } from '../error.ts'

const require = createRequire(import.meta.url)

/**
 * By platform: what calls libraries, and saqr's own. Each is written out: who copies what a program needs (@vercel/nft: Next.js, Nitro, Vercel,
 * Netlify) reads the calls, and would leave behind what is named when it runs.
 */
const PACKAGES: Readonly<Record<string, { koffi(): unknown; saqr(): unknown }>> = {
  'darwin-arm64': {
    koffi: () => require('@koromix/koffi-darwin-arm64/darwin_arm64/koffi.node'),
    saqr: () => require('@saqr/darwin-arm64'),
  },
  'darwin-x64': { koffi: () => require('@koromix/koffi-darwin-x64/darwin_x64/koffi.node'), saqr: () => require('@saqr/darwin-x64') },
  'linux-arm64': { koffi: () => require('@koromix/koffi-linux-arm64/linux_arm64/koffi.node'), saqr: () => require('@saqr/linux-arm64') },
  'linux-x64': { koffi: () => require('@koromix/koffi-linux-x64/linux_x64/koffi.node'), saqr: () => require('@saqr/linux-x64') },
  'linux-x64-musl': { koffi: () => require('@koromix/koffi-linux-x64/musl_x64/koffi.node'), saqr: () => require('@saqr/linux-x64-musl') },
  'win32-x64': { koffi: () => require('@koromix/koffi-win32-x64/win32_x64/koffi.node'), saqr: () => require('@saqr/win32-x64') },
}

/**
 * What the package of a platform exports.
 * @throws as Node's loader does (MODULE_NOT_FOUND)
 */
export const exportsOf = (which: 'koffi' | 'saqr', platform: string): unknown => PACKAGES[platform]![which]()

/** path of a package's file, null where it isn't installed */
export function packageFile(name: string, file: string): string | null {
  try {
    return require.resolve(`${name}/${file}`)
  } catch {
    return null
  }
}

/** what is said where code is whole and can't be loaded, and what to do: the words of glibc, musl and Windows, then Node's */
const REMEDIES: readonly [RegExp, string][] = [
  [
    /permission denied/i,
    'This user may not read it, or nothing may be run from where it lies: look at its permissions and its file system (noexec).',
  ],
  [
    /failed to map segment|operation not permitted|application control policy/i,
    'Nothing may be run from where it lies (a file system mounted noexec, or a policy): install saqr into a folder that programs may be run from.',
  ],
  [
    // musl's words, then glibc's. A Node may bring the runtime under a name of its own, as PyPI's does
    /\blib(stdc\+\+|gcc_s)\.so\.\d+: (No such file|cannot open shared object)/,
    'It needs the C++ runtime: install libstdc++ (Alpine: `apk add libstdc++`; Debian and Ubuntu: `apt install libstdc++6`).',
  ],
  [/loading addons is disabled/, 'Run Node without --no-addons, and where it has --permission with --allow-addons beside it.'],
]

/** What to do where a library is whole, but the system doesn't load it; '' where something else was said. */
export function remedyFor(said: string): string {
  return REMEDIES.find(([words]) => words.test(said))?.[1] ?? ''
}

/**
 * The package of this system isn't installed: why that may be, and what to do.
 * @param what it is
 * @param others packages of the same for other systems
 */
export function missingPackage(
  code: string,
  { name, version, what, others }: { name: string; version: string; what: string; others: readonly string[] },
  installed = (other: string) => packageFile(other, 'package.json') !== null,
): SaqrError {
  if (installed(name)) return new SaqrError(code, `${name}, ${what}, is not whole: delete node_modules and run \`npm install\``)
  const other = others.find((each) => each !== name && installed(each))
  const advice = other
    ? `${other}, another system's, is here instead, so node_modules was copied or installed for that system: delete node_modules and run \`npm install\` here`
    : `It comes with saqr unless optional packages are left out (--omit=optional, --no-optional) or the lock file was written on another system: run \`npm install ${name}@${version}\`, or delete node_modules and package-lock.json and run \`npm install\``
  return new SaqrError(code, `${name}, ${what}, is missing. ${advice}`)
}
