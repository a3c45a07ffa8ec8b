import { readdirSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { expect, it } from 'vitest'
import { PROBLEMS } from '../../../src/domain/problem.ts'

const root = join(import.meta.dirname, '../../..')
/** Those that go through the whole catalogue and would name a code that nothing ever answers. */
const OF_ALL = ['domain/problem', 'edge/pages/', 'unit/edge/render-problem', 'unit/cli/', 'unit/house/']
const textOf = (dir: string): string =>
  readdirSync(join(root, dir), { recursive: true, encoding: 'utf8' })
    .map((file) => file.split(sep).join('/'))
    .filter((file) => file.endsWith('.ts') && !OF_ALL.some((start) => file.startsWith(start)) && !file.startsWith('harness/'))
    .map((file) => readFileSync(join(root, dir, file), 'utf8'))
    .join('\n')
/** A code is never a part of another one. In a pattern its dot stands behind a backslash. */
const without = (text: string): readonly string[] =>
  Object.keys(PROBLEMS).filter((code) => !new RegExp(`${code.replace('.', '\\\\?\\.')}(?![\\w-])`).test(text))

it('no problem of the catalogue is without a place that answers it', () => {
  expect(without(textOf('src'))).toEqual([])
})

it('no problem of the catalogue is without a test that meets it', () => {
  expect(without(textOf('test'))).toEqual([])
})
