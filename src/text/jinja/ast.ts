/** A parsed template. */

export type Expr =
  | { type: 'const'; value: null | boolean | bigint | number | string }
  | { type: 'name'; name: string }
  | { type: 'list' | 'tuple'; items: Expr[] }
  | { type: 'dict'; items: [Expr, Expr][] }
  | { type: 'attribute'; of: Expr; name: string }
  | { type: 'item'; of: Expr; key: Expr }
  | { type: 'slice'; of: Expr; start: Expr | null; stop: Expr | null; step: Expr | null }
  | { type: 'call'; callee: Expr; args: Args }
  | { type: 'filter'; name: string; of: Expr | null; args: Args }
  | { type: 'test'; name: string; of: Expr; args: Args }
  | { type: 'unary'; operator: '-' | '+' | 'not'; of: Expr }
  | { type: 'binary'; operator: string; left: Expr; right: Expr }
  | { type: 'compare'; first: Expr; rest: [string, Expr][] }
  | { type: 'concat'; items: Expr[] }
  | { type: 'logic'; operator: 'and' | 'or'; left: Expr; right: Expr }
  | { type: 'choice'; test: Expr; yes: Expr; no: Expr | null }

export interface Args {
  positional: Expr[]
  named: [string, Expr][]
  /** `*list` and `**mapping` */
  list: Expr | null
  mapping: Expr | null
}

/** what a value is given to */
export type Target = { type: 'name'; name: string } | { type: 'field'; name: string; field: string } | { type: 'targets'; items: Target[] }

export interface MacroNode {
  type: 'macro'
  name: string
  parameters: { name: string; value: Expr | null }[]
  body: Stmt[]
}

export type Stmt =
  | { type: 'data'; text: string }
  | { type: 'print'; value: Expr }
  | { type: 'if'; branches: { test: Expr; body: Stmt[] }[]; otherwise: Stmt[] }
  | { type: 'for'; target: Target; items: Expr; where: Expr | null; body: Stmt[]; otherwise: Stmt[]; recursive: boolean }
  | { type: 'set'; target: Target; value: Expr }
  | { type: 'setBlock'; target: Target; filters: Expr | null; body: Stmt[] }
  | MacroNode
  | { type: 'callBlock'; call: Expr; caller: MacroNode }
  | { type: 'filterBlock'; filters: Expr; body: Stmt[] }
  | { type: 'with'; values: [Target, Expr][]; body: Stmt[] }
  | { type: 'generation'; body: Stmt[] }
  /** begins or ends what the assistant wrote, in templates of src/text/stock */
  | { type: 'mark'; begins: boolean }
  | { type: 'break' | 'continue' }
