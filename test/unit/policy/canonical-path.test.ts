import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cpuMs } from '../../harness/cpu-time.ts'
import { canonicalPath } from '../../../src/policy/canonical-path.ts'

const corpus = readFileSync(new URL('../../corpus/paths.txt', import.meta.url), 'latin1')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('# '))
  .map((line) => line.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))))

describe('a path that two parsers could read differently is refused', () => {
  it('has a corpus worth the name', () => {
    expect(new Set(corpus).size).toBeGreaterThanOrEqual(150)
  })
  it.each(corpus.map((target) => [JSON.stringify(target), target]))('%s', (_shown, target) => {
    expect(canonicalPath(target)).toBeUndefined()
  })
  it('refuses the empty target', () => {
    expect(canonicalPath('')).toBeUndefined()
  })
})

describe('a path that reads one way passes byte for byte', () => {
  it.each([
    '/',
    '/api/orders',
    '/api/orders/',
    '/api/orders?x=1&y=%2f..%2f',
    '/api/orders?',
    '/api/orders?next=https://x.example/a//b/../c;d?e',
    '/?x',
    '/.well-known/openid-configuration',
    '/api/.hidden/..x/x..',
    '/api/file.tar.gz',
    '/caf%C3%A9/%e2%82%ac/%F0%9F%98%80',
    '/a%20b/100%25',
    '/a/100%25/b',
    '/a%2520b',
    '/a%25C3%25A9',
    '/a%25%20x',
    '/a/b%40c/@d/e:f/g=h/i,j/k+l/m!n/$o/(p)/q*r',
    "/it's/~ada/_x/-y",
    '/a%23b/c%3fd',
    '/tags/[x]/a|b^c',
  ])('%s', (target) => {
    const found = canonicalPath(target)
    expect(found && found.path + found.query).toBe(target)
    expect(found?.path.includes('?')).toBe(false)
  })
})

/** What upstreams of every habit might make of a path: decoded any number of times, path parameters cut, backslashes turned, case of escapes aside. */
const readings = (path: string): Set<string> => {
  const all = new Set<string>()
  let text = path
  for (let i = 0; i < 5; i += 1) {
    for (const one of [
      text,
      text.replaceAll('\\', '/'),
      text.replace(/;[^/]*/g, ''),
      text.replace(/\0.*/s, ''),
      text.replace(/[?#].*/s, ''),
    ])
      all.add(one)
    try {
      const next = decodeURIComponent(text)
      if (next === text) break
      text = next
    } catch {
      break
    }
  }
  return all
}

const piece = fc.oneof(
  fc.constantFrom(
    '/',
    '.',
    '..',
    '%2e',
    '%2f',
    '%5c',
    '\\',
    ';',
    '%25',
    '%',
    '%00',
    '%3b',
    'a',
    'admin',
    '%61',
    '%20',
    '%C3%A9',
    '%c0%af',
    '//',
    '25',
    '2e',
    '2f',
    '%252',
    'é',
    '?',
    '#',
  ),
  fc.string({ minLength: 1, maxLength: 3 }),
)
const target = fc.array(piece, { maxLength: 12 }).map((pieces) => `/${pieces.join('')}`)

describe('whatever passes', () => {
  it('resolves to itself under every reading, and its segments stay where they are', () => {
    fc.assert(
      fc.property(target, (raw) => {
        const found = canonicalPath(raw)
        if (!found) return
        expect(found.path + found.query).toBe(raw)
        const depth = found.path.split('/').length
        for (const reading of readings(found.path)) {
          if (reading.includes('?') || reading.includes('#')) continue
          expect(reading.split('/')).toHaveLength(depth)
          const segments = reading.split('/')
          expect(segments.slice(1, -1)).not.toContain('')
          for (const segment of segments) expect(segment.trim()).not.toMatch(/^\.+$/)
        }
      }),
      { numRuns: 20_000 },
    )
  })
  it('has no second spelling among unreserved characters, so a route cannot be reached by another name', () => {
    fc.assert(
      fc.property(fc.constantFrom('a', 'b', 'z', 'A', 'Z', '0', '9', '-', '.', '_', '~'), fc.boolean(), (char, isUpper) => {
        const hex = char.charCodeAt(0).toString(16)
        expect(canonicalPath(`/api/x%${isUpper ? hex.toUpperCase() : hex}y`)).toBeUndefined()
      }),
    )
  })
  it('accepts what encodeURIComponent makes of ordinary words', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[\p{L}\p{N} ,=+@€]{1,12}$/u), { minLength: 1, maxLength: 4 }), (words) => {
        fc.pre(words.every((word) => word.isWellFormed()))
        const path = `/${words.map(encodeURIComponent).join('/')}`
        expect(canonicalPath(path)).toEqual({ path, query: '' })
      }),
    )
  })
})

it('judges 100 kB of hostile path in milliseconds', () => {
  const started = cpuMs()
  for (const part of ['%2525', '/a', '.', '/.', '%20', '.%20', '%C3%A9', '/ .', 'a.', '~-'])
    canonicalPath(`/${part.repeat(100_000 / part.length)}!`)
  expect(cpuMs() - started).toBeLessThan(1000)
})
