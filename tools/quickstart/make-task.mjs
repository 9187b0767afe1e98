#!/usr/bin/env node
// Writes the rows of the quickstart's task:  node tools/quickstart/make-task.mjs [OUT]     default: assets/quickstart
// No answer of test.jsonl stands in train.jsonl.
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { generator, taskRow } from './world.mjs'

const out = process.argv[2] ?? join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'assets/quickstart')
const random = generator(7)
const train = Array.from({ length: 600 }, () => taskRow(random))
const seen = new Set(train.map((row) => row.completion))
const test = []
while (test.length < 120) {
  const row = taskRow(random)
  if (seen.has(row.completion)) continue
  seen.add(row.completion)
  test.push(row)
}
const jsonl = (rows) => `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`
writeFileSync(join(out, 'train.jsonl'), jsonl(train))
writeFileSync(join(out, 'test.jsonl'), jsonl(test))
