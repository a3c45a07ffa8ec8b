import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { PROFILE_NAMES } from '../../../src/domain/profiles/profiles.ts'

const src = join(import.meta.dirname, '../../../src')
/** `generic` is an ordinary word, and what a missing profile is taken for. */
const NAMES = PROFILE_NAMES.filter((name) => name !== 'generic')

it('nothing outside src/domain/profiles compares with the name of a provider: what differs is a member of its profile', () => {
  const compares = new RegExp(
    `(===|!==|case|includes\\()\\s*'(${NAMES.join('|')})'|'(${NAMES.join('|')})'\\s*(===|!==)|\\bprofile\\.name\\s*(===|!==)`,
  )
  const found = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.startsWith('domain/profile'))
    .flatMap((path) =>
      readFileSync(join(src, path), 'utf8')
        .split('\n')
        .filter((line) => compares.test(line))
        .map((line) => `${path}: ${line.trim()}`),
    )
  expect(found).toEqual([])
})
