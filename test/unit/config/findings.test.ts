import { describe, expect, it } from 'vitest'
import { CONFIG_CODES } from '../../../src/config/codes.ts'
import { formatFinding } from '../../../src/config/finding.ts'
import { loadSettings } from '../../../src/config/load.ts'
import { findingsOf, good, load, ROUTE } from './a-config.ts'
import { redis, tokenRoute } from './finding-case.ts'
import { CALLER_CASES, withAudience } from './findings-of-callers.ts'
import { FILE_CASES } from './findings-of-files.ts'
import { PROVIDER_CASES } from './findings-of-provider.ts'
import { RULE_CASES } from './findings-of-rules.ts'
import { SETTING_CASES } from './findings-of-settings.ts'
import { QUIET_TOKENS, TOKEN_CASES } from './findings-of-tokens.ts'

const CASES = [...FILE_CASES, ...SETTING_CASES, ...PROVIDER_CASES, ...RULE_CASES, ...TOKEN_CASES, ...CALLER_CASES]

describe('every finding names its code, place and fix', () => {
  it.each(CASES)('$code: $because', ({ code, text, at, under, fix, from, also }) => {
    const finding = findingsOf(load(text, from)).find((found) => found.code === code)
    if (!finding)
      throw new Error(
        `found instead: ${findingsOf(load(text, from))
          .map((found) => formatFinding(found))
          .join('\n')}`,
      )
    expect(`${finding.place.line}:${finding.place.column}`).toBe(at)
    expect(finding.fix).toContain(fix)
    const shown = finding.excerpt
    expect(shown ? shown.text.slice(shown.column - 1, shown.column - 1 + shown.length) : '').toBe(under)
    expect(finding.also && `${finding.also.line}:${finding.also.column}`).toBe(also)
    expect(finding.severity).toBe(CONFIG_CODES[code].severity)
  })

  it('config.file-unreadable: there is no such file', () => {
    const result = loadSettings({ file: '/nowhere/gateway.yaml', env: {} })
    expect(findingsOf(result).map(({ code, fix }) => ({ code, fix }))).toEqual([
      { code: 'config.file-unreadable', fix: CONFIG_CODES['config.file-unreadable'].fix },
    ])
  })
})

it.each(QUIET_TOKENS)('nothing is said of a token that is right: %s', (_because, text) => {
  expect(findingsOf(load(withAudience(text))).map(({ code }) => code)).toEqual([])
})

it('no code of the catalogue is without a case', () => {
  const covered = new Set<string>([...CASES.map(({ code }) => code), 'config.file-unreadable'])
  expect(Object.keys(CONFIG_CODES).filter((code) => !covered.has(code))).toEqual([])
})

it('an error refuses the start, a warning does not', () => {
  for (const { code, text, from } of CASES) if (CONFIG_CODES[code].severity === 'error') expect(load(text, from).kind, code).toBe('refused')
  expect(load(redis('url: redis://redis')).kind).toBe('ok')
})

it('several faults are told in one run, in the order of the file', () => {
  const findings = findingsOf(load(good({ client_id: '  cleint_id: x' }, ['sesion: {}', ...ROUTE])))
  expect(findings.map(({ code, place }) => `${place.line} ${code}`)).toEqual([
    '2 config.value-missing',
    '4 config.key-unknown',
    '6 config.key-unknown',
  ])
})

it('an unknown key does not hide contradictions elsewhere', () => {
  const findings = findingsOf(load(tokenRoute('{ principal: app, audience: api }', '    alow: signed_in')))
  expect(findings.map(({ code }) => code)).toEqual(['config.route-allow-absent', 'config.key-unknown'])
})

it('an unknown condition is told once, and not also as a rule without condition', () => {
  const findings = findingsOf(load(tokenRoute('{ principal: app, audience: api }', '    allow: { all_of: [{ rolse: [a] }] }')))
  expect(findings.map(({ code }) => code)).toEqual(['config.key-unknown'])
})

it('of a file that was not read to its end, nothing is called missing', () => {
  const deep = `${'{ any_of: ['.repeat(20)}signed_in${'] }'.repeat(20)}`
  const findings = findingsOf(load(tokenRoute('{ principal: app, audience: api }', `    allow: ${deep}`)))
  expect(findings.map(({ code }) => code)).toEqual(['config.yaml-too-complex'])
})

it('a finding reads like a compiler’s', () => {
  const [finding] = findingsOf(load(tokenRoute('{ principal: usr, audience: a }')))
  expect(finding && formatFinding(finding)).toBe(
    [
      'error[config.value-invalid]: `principal` is not one of the known values',
      ' --> /etc/sallyport/gateway.yaml:9:25',
      '  |',
      '9 |     token: { principal: usr, audience: a }',
      '  |                         ^^^',
      '  = fix: Did you mean `user`? Expected one of: user, app, none.',
    ].join('\n'),
  )
})
