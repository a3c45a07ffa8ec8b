import { describe, expect, it } from 'vitest'
import { cpuMs } from '../../harness/cpu-time.ts'
import {
  acceptedEncodings,
  cachePolicy,
  fileHeaders,
  frontendCsp,
  isImmutable,
  looksLikeAsset,
} from '../../../src/edge/frontend-headers.ts'

describe('a name is taken for hashed', () => {
  it.each([
    ['Vite', '/assets/index-DZ1xQv3k.js'],
    ['Vite, with an underscore', '/assets/vendor-B_x9Zk2-.css'],
    ['esbuild, Angular', '/main-5QKZ7TBX.js'],
    ['webpack', '/static/js/main.3f2a9c1b.js'],
    ['webpack, twenty', '/main.0a1b2c3d4e5f60718293.css'],
    ['Create React App', '/static/js/787.3f2a9c1b.chunk.js'],
    ['Next.js', '/_next/static/chunks/117-8c1e4a0b9f2d3e4c.js'],
    ['Parcel', '/logo.6f1a2b3c.svg'],
    ['a font', '/assets/inter-D4k9Qz_x.woff2'],
  ])('%s: %s', (_by, path) => expect(isImmutable(path, 'auto')).toBe(true))
})

describe('a name is not taken for hashed', () => {
  it.each([
    ['a plain one', '/main.js'],
    ['a version', '/jquery-3.6.0.min.js'],
    ['a date', '/report-20240131.json'],
    ['a date as a word', '/data.20240131.csv'],
    ['a word of hex letters', '/my-deadbeef.js'],
    ['a word and its number', '/photo-Picture1.png'],
    ['a camera’s', '/photo-DSC_1234.jpg'],
    ['a word of eight', '/my-snapshot.js'],
    ['a name in capitals', '/My-READMEs1.js'],
    ['a page', '/assets/index-DZ1xQv3k.html'],
    ['a document', '/book-a1b2c3d4.pdf'],
    ['seven of hex', '/main.3f2a9c1.js'],
    ['a service worker', '/sw.js'],
    ['a hash of its own', '/3f2a9c1b.js/x.js'],
  ])('%s: %s', (_what, path) => expect(isImmutable(path, 'auto')).toBe(false))

  it('in no time, however long and hostile it is', () => {
    const started = cpuMs()
    for (const text of ['-'.repeat(100_000), 'a'.repeat(100_000), `.${'a1'.repeat(50_000)}`, `-${'aA1_'.repeat(25_000)}.js`])
      isImmutable(`/${text}`, 'auto')
    expect(cpuMs() - started).toBeLessThan(1000)
  })
})

it.each([
  ['/assets/a.js', 'off', false],
  ['/assets/index-DZ1xQv3k.js', 'off', false],
  ['/assets/a.js', ['/assets'], true],
  ['/assets', ['/assets'], false],
  ['/assetsx/a.js', ['/assets'], false],
  ['/other/index-DZ1xQv3k.js', ['/assets'], false],
  ['/assets/a.html', ['/assets'], false],
] as const)('%s with %j: immutable %s', (path, setting, expected) => expect(isImmutable(path, setting)).toBe(expected))

it.each([
  ['/index.html', 'no-store'],
  ['/INDEX.HTM', 'no-store'],
  ['/main.js', 'no-cache'],
  ['/main.3f2a9c1b.js', 'public, max-age=31536000, immutable'],
])('%s is cached as %s', (path, policy) => expect(cachePolicy(path, 'auto')).toBe(policy))

it.each([
  ['/users/john.doe', false],
  ['/v1.2', false],
  ['/some/page', false],
  ['/a.js/', false],
  ['/assets/x.js', true],
  ['/assets/x.JS', true],
  ['/x.map', true],
])('%s looks like an asset: %s', (path, expected) => expect(looksLikeAsset(path)).toBe(expected))

describe('who may frame the pages is never left open', () => {
  it.each([
    ['default', /frame-ancestors 'none'$/],
    ['off', /^frame-ancestors 'none'$/],
    ["default-src 'self';", /^default-src 'self'; frame-ancestors 'none'$/],
    ["default-src 'self'; frame-ancestors 'self'", /^default-src 'self'; frame-ancestors 'self'$/],
    ["Frame-Ancestors 'self'", /^Frame-Ancestors 'self'$/],
    ['default-src https://frame-ancestors.example', /; frame-ancestors 'none'$/],
    ["report-uri /frame-ancestors; x-frame-ancestors 'self'", /; frame-ancestors 'none'$/],
  ])('%s', (setting, expected) => expect(frontendCsp(setting)).toMatch(expected))
})

it('only documents carry a policy, and only pages a COOP', () => {
  expect(Object.keys(fileHeaders('/x.js', 'p', false))).toEqual([
    'x-content-type-options',
    'referrer-policy',
    'cross-origin-resource-policy',
  ])
  expect(fileHeaders('/x.svg', 'p', false)).toMatchObject({ 'content-security-policy': 'p' })
  expect(fileHeaders('/x.svg', 'p', false)).not.toHaveProperty('cross-origin-opener-policy')
  expect(fileHeaders('/x.html', 'p', true)).toMatchObject({
    'content-security-policy': 'p',
    'cross-origin-opener-policy': 'same-origin-allow-popups',
    'strict-transport-security': 'max-age=31536000; includeSubDomains',
  })
})

it.each([
  [undefined, []],
  ['', []],
  ['identity', []],
  ['gzip, deflate, br, zstd', ['br', 'gzip']],
  ['gzip;q=1.0, br;q=0.5', ['gzip', 'br']],
  ['br;q=0, gzip', ['gzip']],
  ['GZIP', ['gzip']],
  ['*', ['br', 'gzip']],
  ['*;q=0.1, br;q=0', ['gzip']],
  ['br;q=nonsense', []],
  ['xbr, gzipx', []],
])('Accept-Encoding %s takes %j', (header, expected) => expect(acceptedEncodings(header)).toEqual(expected))
