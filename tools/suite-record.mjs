// What the files of tests did in another processor's Node, as it stands in bench/results/.

/**
 * @param {{ file: string, result: string, passed: number, failed: number, skipped: number, seconds: number, failures: string[], commit: string }[]} results
 *   of tools/suite-run.mjs
 * @param {{ runner: string, under: string, files: string[], leftOut: Record<string, string>, on: string }} about `files`: all that are to run;
 *   `leftOut`: those that can't, and why
 * @returns {string} one line a file; one that has no result says so
 */
export function suitePage(results, { runner, under, files, leftOut, on }) {
  const known = new Map(results.map((result) => [result.file, result]))
  const sum = (key) => results.reduce((total, result) => total + result[key], 0)
  const passed = results.filter(({ result }) => result === 'passed')
  const commits = [...new Set(results.map(({ commit }) => commit))]
  const mixed = commits.length > 1 ? `; put together of ${commits.length} commits: none of them ran whole` : ''
  const line = (file) => {
    const found = known.get(file)
    if (!found) return `not run  ${file}`
    const counts = ['passed', 'failed', 'skipped', 'seconds'].map((key) => String(found[key]).padStart(8)).join('')
    return `${found.result.padEnd(7)}${counts}  ${file}${commits.length > 1 ? `  (${found.commit})` : ''}`
  }
  return [
    `$ node tools/platforms.mjs suite ${runner} --record      the files of npm test, each by itself, here or where --pack took them, ${under}; ${on}, commit ${commits.join(', ')}`,
    `${passed.length} of ${files.length} files passed, ${Object.keys(leftOut).length} left out${known.size < files.length ? `, ${files.length - known.size} not run` : ''}; tests: ${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped; ${sum('seconds')} s in all${mixed}`,
    '',
    'result   passed  failed skipped seconds  file',
    ...files.map(line),
    ...section(
      'what failed',
      results.flatMap(({ file, failures }) => failures.map((what) => `${file}: ${what.split('\n')[0]}`)),
    ),
    ...section(
      'left out',
      Object.entries(leftOut).map(([file, why]) => `${file}: ${why}`),
    ),
    '',
  ].join('\n')
}

const section = (title, lines) => (lines.length > 0 ? ['', title, ...lines] : [])
