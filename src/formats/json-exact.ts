/** JSON without loss, as the lower folders have it: see hub/json-exact.ts. */
export { Float } from '../hub/json.ts'
export * from '../hub/json-exact.ts'
