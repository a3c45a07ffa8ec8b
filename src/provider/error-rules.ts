import type { ErrorMeaning, ErrorRule } from '../domain/profile.ts'
import type { Claims } from '../domain/token.ts'
import { stringOf } from './json.ts'

/** What a profile makes of an error answer, by the first of its rules that fits; undefined: as everybody does. */
export const meaningOf = (body: Claims, error: string, rules: readonly ErrorRule[]): ErrorMeaning | undefined =>
  rules.find((rule) => fits(rule, body, error))?.means

const fits = (rule: ErrorRule, body: Claims, error: string): boolean =>
  (rule.error === undefined || rule.error === error) &&
  (rule.suberrors === undefined || isOneOf(suberrorOf(body), rule.suberrors)) &&
  (rule.numbers === undefined || errorNumbers(body).some((number) => rule.numbers?.includes(number) === true)) &&
  (rule.claims === undefined || ((stringOf(body, 'claims') ?? '') !== '') === rule.claims) &&
  (rule.description === undefined || rule.description.test(stringOf(body, 'error_description') ?? ''))

const isOneOf = (suberror: string, wanted: readonly string[] | 'any'): boolean =>
  suberror !== '' && (wanted === 'any' || wanted.includes(suberror))

/** Entra's name for it, and Google's. */
const suberrorOf = (body: Claims): string => stringOf(body, 'suberror') ?? stringOf(body, 'error_subtype') ?? ''

/** Entra's `error_codes`; an answer without that member says its number at the head of the description. */
export const errorNumbers = (body: Claims): readonly number[] => {
  const listed = body['error_codes']
  if (Array.isArray(listed)) return listed.filter((number) => typeof number === 'number')
  const number = aadstsOf(body)
  return number === undefined ? [] : [Number(number)]
}

export const aadstsOf = (body: Claims): string | undefined => /^AADSTS(\d{1,10})\b/.exec(stringOf(body, 'error_description') ?? '')?.[1]
