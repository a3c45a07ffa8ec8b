/** Ends a `switch` over a union: the compiler refuses a forgotten member, and a value from outside the types fails closed. */
export const assertNever = (value: never): never => {
  throw new Error(`unexpected variant: ${typeof value}`)
}
