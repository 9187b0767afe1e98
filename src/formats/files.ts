/** Files on disk, as the Hub's cache needs them too: see hub/files.ts. */
export * from '../hub/files.ts'
