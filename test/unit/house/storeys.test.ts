import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const src = join(import.meta.dirname, '../../../src')
const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))

// The image leaves src/dev out: a static import of it would end every start.
it('reaches src/dev by import() only', () => {
  const reaching = files.filter(
    (path) => !path.startsWith('dev/') && /\bfrom\s+'[^']*\/dev\/|^import\s+'[^']*\/dev\//m.test(readFileSync(join(src, path), 'utf8')),
  )
  expect(reaching).toEqual([])
})

it('keeps every source file in a room the house plan knows', () => {
  const config = readFileSync(join(src, '../oxlint.config.ts'), 'utf8')
  const storeys = /const STOREYS[^=]*= (\[[\s\S]*?\n\])/.exec(config)?.[1] ?? ''
  const unknown = files.map((path) => path.split('/')[0] ?? '').filter((room) => !storeys.includes(`'${room}'`))
  expect(unknown).toEqual([])
  expect(existsSync(join(src, 'kernel'))).toBe(true)
})
