/** JSON and text files, as the Hub's cache needs them too: see hub/json.ts. */
export * from '../hub/json.ts'
