/** Options as a command line gives them, and what is thrown. */
export const given = (values: Record<string, unknown>) =>
  Object.entries(values).map(([name, value]) => ({ name, value, said: `--${name}` }))

export function catching(f: () => unknown): { code: string; message: string } {
  try {
    f()
  } catch (error) {
    return error as { code: string; message: string }
  }
  throw new Error('nothing was thrown')
}
