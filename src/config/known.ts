import { jsonSchema, type JsonSchema } from './json-schema.ts'
import type { SettingPath } from './path.ts'
import { nearest } from './suggest.ts'

/** What the schema knows about a place in the file. */
export interface Known {
  readonly secret: boolean
  readonly expects: string | undefined
  /** Setting names that may stand here. */
  readonly keys: readonly string[]
  /** Fixed values that may stand here. */
  readonly values: readonly string[]
  /** Neither mapping nor list only: a value may stand here. */
  readonly scalar: boolean
  /** A list may stand here. */
  readonly list: boolean
  /** A mapping with keys of the writer's choice may stand here. */
  readonly mapping: boolean
}

const resolved = (node: JsonSchema): JsonSchema =>
  node.$ref === undefined ? node : (jsonSchema().definitions?.[node.$ref.replace('#/definitions/', '')] ?? {})

/** A union is looked at as all of its branches at once. */
const branches = (node: JsonSchema): readonly JsonSchema[] => {
  const at = resolved(node)
  return [at, ...[...(at.anyOf ?? []), ...(at.allOf ?? [])].flatMap(branches)]
}

const step = (nodes: readonly JsonSchema[], key: string | number): readonly JsonSchema[] =>
  nodes.flatMap((node) => {
    if (typeof key === 'number') return node.items ? branches(node.items) : []
    if (node.properties && Object.hasOwn(node.properties, key)) return branches(node.properties[key] ?? {})
    return typeof node.additionalProperties === 'object' ? branches(node.additionalProperties) : []
  })

/** undefined: the schema has no such place. */
export const knownAt = (path: SettingPath): Known | undefined => {
  let nodes = branches(jsonSchema())
  let secret = false
  for (const key of path) {
    nodes = step(nodes, key)
    if (nodes.length === 0) return undefined
    secret ||= nodes.some((node) => node['x-secret'] === true)
  }
  return {
    secret,
    expects: nodes.map((node) => node['x-expects']).find((text) => text !== undefined),
    keys: [...new Set(nodes.flatMap((node) => Object.keys(node.properties ?? {})))],
    values: nodes
      .flatMap((node) => [...(node.enum ?? []), ...(node.const === undefined ? [] : [node.const])])
      .filter((value) => typeof value === 'string'),
    scalar: nodes.some((node) => [node.type].flat().some((type) => type !== undefined && type !== 'object' && type !== 'array')),
    list: nodes.some((node) => node.items !== undefined),
    mapping: nodes.some((node) => typeof node.additionalProperties === 'object'),
  }
}

let names: ReadonlyMap<string, readonly string[]> | undefined

/** Every setting name of the schema, with the mappings it may stand in (`''` for the root, `routes[]` for entries of lists). */
export const settingNames = (): ReadonlyMap<string, readonly string[]> => {
  if (names) return names
  const found = new Map<string, string[]>()
  const visit = (node: JsonSchema, path: string, depth: number): void => {
    if (depth > 8 || node.$ref !== undefined) return // the only reference is `allow`, which nests in itself
    for (const [name, child] of Object.entries(node.properties ?? {})) {
      found.set(name, [...(found.get(name) ?? []), path])
      visit(child, path === '' ? name : `${path}.${name}`, depth + 1)
    }
    if (node.items) visit(node.items, `${path}[]`, depth + 1)
    for (const branch of node.anyOf ?? []) visit(branch, path, depth + 1)
  }
  visit(jsonSchema(), '', 0)
  for (const definition of Object.values(jsonSchema().definitions ?? {})) visit(definition, 'routes[].allow', 0)
  names = found
  return found
}

/** May this key be printed? Setting names, what is near to one, and plain lower-case words; a secret that slipped into a key is neither. */
export const isPrintableKey = (name: string): boolean =>
  settingNames().has(name) ||
  (/^[A-Za-z_-]{1,40}$/.test(name) && (nearest(name, [...settingNames().keys()]) !== undefined || /^[a-z]+(_[a-z]+)*$/.test(name)))
