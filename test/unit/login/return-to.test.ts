import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { returnTo } from '../../../src/login/return-to.ts'

const origin = new URL('https://app.example')

it.each`
  raw                               | lands                             | because
  ${undefined}                      | ${'/'}                            | ${'nothing was asked'}
  ${'/'}                            | ${'/'}                            | ${'the front page'}
  ${'/orders?id=7#top'}             | ${'/orders?id=7#top'}             | ${'a path on our origin'}
  ${'/a/b/'}                        | ${'/a/b/'}                        | ${'a trailing slash stays'}
  ${'/a//b'}                        | ${'/a//b'}                        | ${'a doubled slash further on leads nowhere else'}
  ${'/caf%C3%A9'}                   | ${'/caf%C3%A9'}                   | ${'encoded letters stay encoded'}
  ${'/100%25'}                      | ${'/100%25'}                      | ${'an encoded percent sign'}
  ${'/a?next=https://evil.example'} | ${'/a?next=https://evil.example'} | ${'a query is not where the browser goes'}
  ${'/a?x=%0d%0a'}                  | ${'/a?x=%0d%0a'}                  | ${'encoded line ends in a query stay encoded'}
  ${'/a?x=../..'}                   | ${'/a?x=../..'}                   | ${'dots in a query are no segments'}
  ${'/a#/route/of/the/frontend'}    | ${'/a#/route/of/the/frontend'}    | ${"a fragment is the frontend's"}
  ${'/a?q="<x>"'}                   | ${'/a?q=%22%3Cx%3E%22'}           | ${"the browser's own spelling"}
  ${'/...'}                         | ${'/...'}                         | ${'three dots are a name'}
  ${'/.well-known/x'}               | ${'/.well-known/x'}               | ${'a dot in front is a name'}
  ${'/a@b'}                         | ${'/a@b'}                         | ${'an at sign in a path'}
  ${'/a:80'}                        | ${'/a:80'}                        | ${'a colon in a path'}
  ${'//evil.example'}               | ${'/'}                            | ${'protocol-relative'}
  ${'/\\evil.example'}              | ${'/'}                            | ${'browsers read a backslash as a slash'}
  ${'/.//evil.example'}             | ${'/'}                            | ${'without its dot segment it would be protocol-relative'}
  ${'https://app.example/a'}        | ${'/'}                            | ${'absolute URLs are never accepted'}
  ${'/a b'}                         | ${'/'}                            | ${'a blank'}
  ${'/é'}                           | ${'/'}                            | ${'beyond ASCII'}
  ${'/bffs'}                        | ${'/bffs'}                        | ${'only starts like an endpoint'}
  ${'/my/bff'}                      | ${'/my/bff'}                      | ${'not below the base path'}
  ${'/bff/login'}                   | ${'/'}                            | ${'an endpoint of ours'}
  ${`/${'a'.repeat(1023)}`}         | ${`/${'a'.repeat(1023)}`}         | ${'1024 bytes'}
  ${`/${'a'.repeat(1024)}`}         | ${'/'}                            | ${'one more'}
  ${`/?${'"'.repeat(400)}`}         | ${'/'}                            | ${"longer than that in the browser's spelling"}
`('$raw lands on $lands: $because', ({ raw, lands }) => {
  expect(returnTo(raw, origin)).toBe(lands)
})

it('refuses the endpoints of another base path', () => {
  expect(returnTo('/auth/logout', origin, '/auth')).toBe('/')
  expect(returnTo('/bff/logout', origin, '/auth')).toBe('/bff/logout')
})

/** What a browser makes of it, wherever it stands. */
const expectHarmless = (raw: string, lands: string): void => {
  for (const base of ['https://app.example/', 'https://app.example/bff/callback?code=1', 'https://app.example/a/b/c']) {
    const url = new URL(lands, base)
    expect(url.origin, raw).toBe('https://app.example')
    expect(url.username + url.password, raw).toBe('')
    expect(url.pathname + url.search + url.hash, raw).toBe(lands)
    expect(/^\/bff(?:\/|$)/i.test(url.pathname), raw).toBe(false)
  }
  expect(lands, raw).toMatch(/^\/(?![/\\])[\x21-\x7e]*$/)
  expect(lands.length).toBeLessThanOrEqual(1024)
}

describe('the corpus', () => {
  const corpus = readFileSync(new URL('../../corpus/return-to.txt', import.meta.url), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => String(JSON.parse(line)))

  it('has at least 300 values', () => expect(new Set(corpus).size).toBeGreaterThanOrEqual(300))

  it('leads to nowhere but our own origin, also when it was encoded once more', () => {
    for (const raw of corpus) {
      expectHarmless(raw, returnTo(raw, origin))
      expectHarmless(raw, returnTo(raw.isWellFormed() ? encodeURIComponent(raw) : raw, origin))
      expectHarmless(raw, returnTo(`/${raw}`, origin))
      expectHarmless(raw, returnTo(`/x?y=${raw}`, origin))
    }
  })

  it('is refused as a whole, but for values whose hostile part is a mere query, fragment or name', () => {
    const accepted = corpus.map((raw) => returnTo(raw, origin)).filter((lands) => lands !== '/')
    expect(accepted).toMatchInlineSnapshot(`
      [
        "/bff%3Fx",
        "/bff%23x",
      ]
    `)
  })
})

it('leads to nowhere but our own origin, whatever comes, with the URL parser of browsers as the judge', () => {
  const piece = fc.constantFrom(
    '/',
    '\\',
    '.',
    '..',
    '%2e',
    '%2f',
    '%5c',
    '%25',
    ';',
    ':',
    '@',
    '?',
    '#',
    '//',
    'evil.example',
    'bff',
    '%62ff',
    'a',
    '\t',
    '\n',
    ' ',
    '\u00a0',
    '"',
    "'",
    '<',
    '[',
    ']',
    '{',
    '|',
    '^',
    '`',
    'http',
    'https:',
  )
  const hostile = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''))
  fc.assert(
    fc.property(
      fc.oneof(
        hostile,
        hostile.map((text) => `/${text}`),
        fc.webPath(),
        fc.webUrl(),
        fc.string({ unit: 'binary' }),
      ),
      (raw) => {
        expectHarmless(raw, returnTo(raw, origin))
      },
    ),
    { numRuns: 5000 },
  )
})

it('is the same when asked again: what it yields, it accepts unchanged', () => {
  fc.assert(
    fc.property(fc.webPath(), fc.webQueryParameters(), fc.webFragments(), (path, query, fragment) => {
      const lands = returnTo(`${path}?${query}#${fragment}`, origin)
      expect(returnTo(lands, origin)).toBe(lands)
    }),
  )
})
