/** Patterns of paths: `*` and `?` within a folder, `**` across folders, `[abc]`. */
export function globMatcher(glob: string): (path: string) => boolean {
  const clean = glob.replace(/^\.\//, '')
  let source = ''
  for (let i = 0; i < clean.length; i++) {
    const rest = clean.slice(i)
    if (rest.startsWith('**/')) {
      source += '(?:[^/]+/)*'
      i += 2
    } else if (rest.startsWith('**')) {
      source += '.*'
      i += 1
    } else if (clean[i] === '*') source += '[^/]*'
    else if (clean[i] === '?') source += '[^/]'
    else if (/^\[[^\]/]+\]/.test(rest)) {
      const set = /^\[[^\]/]+\]/.exec(rest)![0]
      source += `[${set.slice(1, -1).replace(/^!/, '^').replaceAll('\\', '\\\\')}]`
      i += set.length - 1
    } else source += clean[i]!.replace(/[\\^$.|+()[\]{}]/, '\\$&')
  }
  const pattern = new RegExp(`^${source}$`)
  return (path) => pattern.test(path)
}
