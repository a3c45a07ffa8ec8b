import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { AUDIT_FIELDS } from '../../src/telemetry/audit-sink.ts'
import { GOOD, loaded } from '../unit/config/a-config.ts'

/** What pages say about the product in figures and names, held against the product. */
const page = (name: string): string => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')
const rowsOf = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    )
const codeIn = (cell = ''): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code)

it('docs/audit.md lists every event with every field it may have, and no other', () => {
  const rows = rowsOf(page('audit.md')).filter(([name = '']) => name.includes('.') || name.includes('-'))
  const listed = Object.fromEntries(rows.map(([event, , fields]) => [codeIn(event)[0], codeIn(fields)]))
  expect(listed).toEqual(Object.fromEntries(Object.entries(AUDIT_FIELDS).map(([event, fields]) => [event, Object.keys(fields)])))
})

it('docs/sessions.md names the defaults that a session really has', () => {
  const { session } = loaded(GOOD.join('\n')).settings
  const ms = { s: 1000, m: 60_000, h: 3_600_000 }
  const named = Object.fromEntries(
    rowsOf(page('sessions.md')).map(([name = '', value = '']) => [
      codeIn(name)[0],
      Number(value.slice(0, -1)) * ms[value.slice(-1) as 's'],
    ]),
  )
  expect(named).toEqual({
    'session.idle_timeout': session.idleTimeoutMs,
    'session.absolute_timeout': session.absoluteTimeoutMs,
    'session.recheck': session.recheckMs,
    'session.recheck_grace': session.recheckGraceMs,
  })
})

it('docs/sessions.md writes down what ASVS 5.0 §7.1 asks for: lifetimes and why, how many at once, and together with the provider', () => {
  expect(page('sessions.md').match(/^## .*$/gm)).toEqual(['## Lifetimes', '## How many at once', '## Together with the provider'])
})
