import type * as z from 'zod'
import { CONFIG_CODES, type ConfigCode } from './codes.ts'
import { isPrintableKey, knownAt, settingNames, type Known } from './known.ts'
import { valueAt, type SettingPath } from './path.ts'
import type { Remark } from './report.ts'
import { nearest } from './suggest.ts'

type Issue = z.core.$ZodIssue

/** A missing setting that is a decision has its own code. Lists are written `[]`. */
const MISSING: Readonly<Record<string, ConfigCode>> = {
  'provider.client_auth': 'config.client-auth-absent',
  'routes[].token': 'config.route-token-absent',
  'routes[].token.principal': 'config.route-token-absent',
}
/** Names that the contract keeps for later: worth more than "unknown". */
const LATER_KEYS = new Set([
  'providers',
  'apps',
  'forwardauth',
  'listen.forwardauth',
  'routes[].token.min_acr',
  'routes[].token.max_auth_age',
  'routes[].min_acr',
  'routes[].max_auth_age',
])

const shape = (path: SettingPath): string => path.map((step, i) => (typeof step === 'number' ? '[]' : i === 0 ? step : `.${step}`)).join('')

/** zod's issues, read once here: what they say about the input's content is never passed on. */
export const remarksOf = (issues: readonly Issue[], data: unknown): readonly Remark[] =>
  issues.flatMap((issue) => remarkOf(issue, [], data))

const remarkOf = (issue: Issue, base: SettingPath, data: unknown): readonly Remark[] => {
  const path = [...base, ...issue.path.map((step) => (typeof step === 'number' ? step : String(step)))]
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey(path, key))
    case 'custom':
      return [customRemark(issue.params, path)]
    case 'invalid_union':
      return unionRemarks(issue, path, data)
    case 'invalid_type':
      return [
        valueAt(data, path) === undefined ? missing(path) : wrongType(path, issue.expected === 'string' && isBare(valueAt(data, path))),
      ]
    case 'invalid_value':
      return [valueAt(data, path) === undefined ? missing(path) : wrongValue(path, valueAt(data, path))]
    case 'too_small':
    case 'too_big':
      return [sizeRemark(path, issue.code)]
    case 'invalid_key':
      return [{ code: 'config.value-invalid', path, reason: 'a name in this mapping is empty or too long' }]
    case 'invalid_element':
    case 'invalid_format':
    case 'not_multiple_of':
      return [wrongType(path)]
  }
}

const customRemark = (params: Readonly<Record<string, unknown>> | undefined, path: SettingPath): Remark => {
  const code =
    typeof params?.code === 'string' && Object.hasOwn(CONFIG_CODES, params.code) ? (params.code as ConfigCode) : 'config.value-invalid'
  return {
    code,
    path,
    ...(typeof params?.reason === 'string' && { reason: `${shortName(path)}: ${params.reason}` }),
    ...(typeof params?.fix === 'string' && { fix: params.fix }),
  }
}

/** The branch that the writer was in: the one that got further than "not this type at all". */
const unionRemarks = (issue: Extract<Issue, { code: 'invalid_union' }>, path: SettingPath, data: unknown): readonly Remark[] => {
  const deep = issue.errors.filter(
    (branch) => branch.length > 0 && branch.every((inner) => inner.path.length > 0 || !/^invalid_(type|value)$/.test(inner.code)),
  )
  const branch = deep[0]
  if (branch) return branch.flatMap((inner) => remarkOf(inner, path, data))
  const value = valueAt(data, path)
  return [
    value === undefined
      ? missing(path)
      : typeof value === 'string' && (knownAt(path)?.values.length ?? 0) > 0
        ? wrongValue(path, value)
        : wrongType(path),
  ]
}

const unknownKey = (parent: SettingPath, key: string): Remark => {
  const path = [...parent, key]
  if (LATER_KEYS.has(shape(path)))
    return { code: 'config.not-supported-yet', path, onKey: true, reason: `\`${key}\` is planned and not supported by this release` }
  const shown = isPrintableKey(key) ? `\`${key}\`` : 'this key'
  const here = knownAt(parent)?.keys ?? []
  const meant = nearest(key, here)
  const elsewhere = settingNames()
    .get(key)
    ?.map((place) => (place === '' ? 'the top level' : `\`${place}\``))
  const fix =
    meant !== undefined
      ? `Did you mean \`${meant}\`?`
      : elsewhere
        ? `\`${key}\` belongs under ${elsewhere.slice(0, 3).join(' or ')}.`
        : here.length > 0
          ? `Known here: ${here.join(', ')}.`
          : undefined
  return { code: 'config.key-unknown', path, onKey: true, reason: `there is no setting ${shown} here`, ...(fix !== undefined && { fix }) }
}

const missing = (path: SettingPath): Remark => {
  const code = MISSING[shape(path)]
  if (code) return { code, path }
  const expects = knownAt(path)?.expects
  return {
    code: 'config.value-missing',
    path,
    reason: `\`${shortName(path)}\` is missing`,
    fix: expects === undefined ? `Add \`${shortName(path)}\`.` : `Add \`${shortName(path)}\`: ${expects}.`,
  }
}

/** `client_id: 7` and `name: yes` are a number and a truth value to YAML. */
const isBare = (value: unknown): boolean => typeof value === 'number' || typeof value === 'boolean'

const wrongType = (path: SettingPath, needsQuotes = false): Remark => {
  const expects = expected(knownAt(path))
  return {
    code: 'config.value-type',
    path,
    reason: `\`${shortName(path)}\` has the wrong type`,
    fix: `Expected: ${expects}${needsQuotes ? ', in quotes' : ''}.`,
  }
}

/** Every shape that may stand here: `signed_in, or a mapping of roles, groups`. */
const expected = (known: Known | undefined): string => {
  const [only, ...more] = known?.values ?? []
  const value =
    known?.expects ??
    (only === undefined ? (known?.scalar ? 'a single value' : undefined) : more.length === 0 ? only : `one of ${known?.values.join(', ')}`)
  return [value, mappingText(known), known?.list ? 'a list' : undefined].filter((part) => part !== undefined).join(', or ') || 'a list'
}
const mappingText = (known: Known | undefined): string | undefined => {
  if (known && known.keys.length > 0) return `a mapping of ${known.keys.slice(0, 8).join(', ')}`
  return known?.mapping ? 'a mapping' : undefined
}

const wrongValue = (path: SettingPath, value: unknown): Remark => {
  const known = knownAt(path)
  const values = known?.values ?? []
  const meant = typeof value === 'string' ? nearest(value, values) : undefined
  return {
    code: 'config.value-invalid',
    path,
    reason: `\`${shortName(path)}\` is not one of the known values`,
    fix: `${meant === undefined ? '' : `Did you mean \`${meant}\`? `}${values.length > 1 ? `Expected one of: ${values.join(', ')}` : `Expected: ${expected(known)}`}.`,
  }
}

const sizeRemark = (path: SettingPath, code: 'too_small' | 'too_big'): Remark => {
  if (code === 'too_small' && shape(path) === 'provider.client_auth') return { code: 'config.client-auth-absent', path }
  return {
    code: 'config.value-invalid',
    path,
    reason: code === 'too_small' ? `\`${shortName(path)}\` is empty` : `\`${shortName(path)}\` has too many entries`,
    fix: code === 'too_small' ? 'Name at least one, or remove the setting.' : 'Shorten the list.',
  }
}

const shortName = (path: SettingPath): string => {
  const name = path.findLast((step) => typeof step === 'string')
  return name !== undefined && isPrintableKey(name) ? name : 'the value'
}
