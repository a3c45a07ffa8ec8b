import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { faultsOf, REQUIRED } from '../../../scripts/conformance.ts'

const at = (path: string): URL => new URL(`../../../${path}`, import.meta.url)
const read = (path: string): string | undefined => (existsSync(at(path)) ? readFileSync(at(path), 'utf8') : undefined)
const document = read('docs/conformance.md') ?? ''

it('every requirement has its row, and every test that docs/conformance.md names is there', () => {
  expect(faultsOf(document, read)).toEqual([])
  expect(Object.values(REQUIRED).flat().length).toBeGreaterThan(80)
})

describe('the check notices', () => {
  /** A document with one row too bad, and whatever the whole one lacks left aside. */
  const faultsWith = (row: string, source = "describe('d', () => { it.each([1])('name %s', () => {}) })"): readonly string[] =>
    faultsOf(`## D. x\n\n| 63 | x | ${row} |\n`, (path) => (path === 'test/attack/a.test.ts' ? source : undefined)).filter(
      (fault) => !/has no row/.test(fault),
    )

  it('a requirement without a row, and one with two', () => {
    const without = document.replace(/^\| 77 \|.*\n/m, '')
    expect(faultsOf(without, read)).toEqual(['D 77: has no row'])
    const row = /^\| 77 \|.*\n/m.exec(document)?.[0] ?? ''
    expect(faultsOf(document.replace(row, row + row), read)).toEqual(['D 77: has 2 rows'])
  })
  it('a file that is gone', () => {
    expect(faultsWith('`test/attack/b.test.ts › "name %s"`')).toEqual(['D 63: there is no test/attack/b.test.ts'])
  })
  it('a name that is gone, or stands in a comment or a string only', () => {
    for (const source of ["// it('name %s')", 'const x = "it(\'name %s\')"', "it('other', () => {})", "other('name %s', () => {})"])
      expect(faultsWith('`test/attack/a.test.ts › "name %s"`', source)).toEqual(['D 63: test/attack/a.test.ts has no test "name %s"'])
  })
  it('a test that is in another describe', () => {
    expect(faultsWith('`test/attack/a.test.ts › "d › name %s"`')).toEqual([])
    expect(faultsWith('`test/attack/a.test.ts › "e › name %s"`')).toEqual(['D 63: test/attack/a.test.ts has no test "e › name %s"'])
  })
  it('a test that is skipped, itself or by what it stands in', () => {
    for (const source of ["it.skip('n', () => {})", "it.todo('n')", "describe.skip('d', () => { it('n', () => {}) })"])
      expect(faultsWith('`test/attack/a.test.ts › "n"`', source)).toEqual(['D 63: "n" is skipped'])
    expect(faultsWith('`test/attack/a.test.ts › "n"`', "describe.skipIf(!x)('d', () => { it.skipIf(y)('n', () => {}) })")).toEqual([])
  })
  it('a row without a test, or with tests elsewhere only', () => {
    for (const row of ['by design', '`test/unit/x.test.ts`', '[page](storage.md)'])
      expect(faultsWith(row, '')).toContain('D 63: names no test in test/attack')
  })
  it('a reference that is written wrong', () => {
    expect(faultsWith('`test/attack/a.test.ts › "name %s"` `test/attack/a.test.ts › name`')).toEqual(['D 63: a reference is malformed'])
  })
  it('a link to a page or a heading that is gone', () => {
    expect(faultsWith('`test/attack/a.test.ts › "name %s"` [x](gone.md)')).toEqual(['a link leads to docs/gone.md, which is not there'])
    expect(faultsOf('[x](sessions.md#nowhere)', read)).toContain('a link leads to #nowhere of docs/sessions.md, which is not there')
  })
})
