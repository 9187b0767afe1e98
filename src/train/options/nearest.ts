/** The nearest of known names, as files need it too: see hub/nearest.ts. */
export * from '../../hub/nearest.ts'
