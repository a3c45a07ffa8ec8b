import type { ConfigCode } from '../../../src/config/codes.ts'
import { good, type From } from './a-config.ts'

export interface Case {
  readonly code: ConfigCode
  readonly because: string
  readonly text: string
  /** line:column of the caret, from 1 */
  readonly at: string
  /** What the caret underlines, as shown. */
  readonly under: string
  readonly fix: string
  readonly from?: From
  /** line:column of the other half. */
  readonly also?: string
}

export const c = (
  code: ConfigCode,
  because: string,
  text: string,
  at: string,
  under: string,
  fix: string,
  more: Pick<Case, 'from' | 'also'> = {},
): Case => ({ code, because, text, at, under, fix, ...more })
export const route = (...changed: readonly string[]): string => good({}, ['routes:', ...changed])
export const tokenRoute = (token: string, ...more: readonly string[]): string =>
  route('  - path: /api', '    upstream: http://api:1', `    token: ${token}`, ...more)
export const redis = (line: string): string => good({}, ['session:', '  keys_dir: /keys', `  store: { redis: { ${line} } }`])
export const TOKEN = '    token: { principal: user, audience: api }'
export const UP = '    upstream: http://api:1'
