/** Names of the tests that stand in a file. */
import { readFileSync } from 'node:fs'
import ts from 'typescript'

/** Titles of every `it`, `test` and `describe`, those of `.each` before they are filled in. */
export function titlesOf(file: string): Set<string> {
  const titles = new Set<string>()
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && /^(it|test|describe)\b/.test(node.expression.getText())) {
      const [title] = node.arguments
      if (title && ts.isStringLiteralLike(title)) titles.add(title.text)
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true))
  return titles
}
