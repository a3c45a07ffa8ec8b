/** Where a setting lives: keys of mappings and positions of lists, from the root. */
export type SettingPath = readonly (string | number)[]

/** `routes[0].token.principal`; keys that are no plain name are quoted, so that two paths never share a text. */
export const pathText = (path: SettingPath): string =>
  path
    .map((step, i) => {
      if (typeof step === 'number') return `[${step}]`
      return /^[A-Za-z_][A-Za-z0-9_]*$/.test(step) ? `${i === 0 ? '' : '.'}${step}` : `[${JSON.stringify(step)}]`
    })
    .join('')

/** The value at a path of plain data; undefined when there is none. Own properties only. */
export const valueAt = (root: unknown, path: SettingPath): unknown => {
  let at: unknown = root
  for (const step of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined
    at = Reflect.get(at, step)
  }
  return at
}
