/** What stands between fences in a page of Markdown. */
export interface Block {
  language: string
  text: string
  /** of its first line, from 1 */
  line: number
}

export function blocksOf(page: string): Block[] {
  const blocks: Block[] = []
  const lines = page.split('\n')
  for (let i = 0; i < lines.length; i++) {
    const [, fence, language] = /^(```+)(\S*)/.exec(lines[i]!) ?? []
    if (fence === undefined) continue
    const end = lines.indexOf(fence, i + 1)
    if (end < 0) throw new Error(`line ${i + 1}: ${fence} is never closed`)
    blocks.push({ language: language!, text: `${lines.slice(i + 1, end).join('\n')}\n`, line: i + 2 })
    i = end
  }
  return blocks
}
