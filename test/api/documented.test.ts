/** What an editor shows: everything that programs import, and every member of it, says what it is. */
import { join, relative } from 'node:path'
import ts from 'typescript'
import { expect, it } from 'vitest'

const dist = join(import.meta.dirname, '../../dist')

it('every export and every option has a docstring', () => {
  const entry = join(dist, 'index.d.ts')
  const program = ts.createProgram([entry], {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    skipLibCheck: true,
    types: ['node'],
  })
  const checker = program.getTypeChecker()
  const bare: string[] = []
  let seen = 0
  const ours = (symbol: ts.Symbol) => symbol.declarations?.some((at) => at.getSourceFile().fileName.startsWith(`${dist}/`)) ?? false
  const says = (symbol: ts.Symbol) => symbol.getDocumentationComment(checker).length > 0 || symbol.getJsDocTags(checker).length > 0
  const look = (symbol: ts.Symbol, name: string) => {
    if (!ours(symbol)) return
    seen++
    if (!says(symbol)) bare.push(`${name} (${relative(dist, symbol.declarations![0]!.getSourceFile().fileName)})`)
  }
  const members = (type: ts.Type, name: string) => {
    for (const member of type.getProperties()) {
      const hidden = member.declarations?.some(
        (at) => ts.getCombinedModifierFlags(at) & (ts.ModifierFlags.Private | ts.ModifierFlags.Protected),
      )
      if (!hidden && !member.name.includes('#') && member.name !== 'prototype') look(member, `${name}.${member.name}`)
    }
  }
  for (const exported of checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(entry)!)!)) {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported
    look(symbol, exported.name)
    if (symbol.flags & (ts.SymbolFlags.Class | ts.SymbolFlags.Interface | ts.SymbolFlags.TypeAlias)) {
      const type = checker.getDeclaredTypeOfSymbol(symbol)
      for (const part of type.isUnion() ? type.types : [type]) members(part, exported.name)
    }
    if (symbol.flags & (ts.SymbolFlags.Class | ts.SymbolFlags.Variable)) members(checker.getTypeOfSymbol(symbol), exported.name)
  }
  expect(seen).toBeGreaterThan(1000)
  expect(bare).toEqual([])
})
