import { describe, expect, it } from 'vitest'
import { csrfFacts, csrfRefusal, isNavigation, isPrefetch } from '../../../src/edge/guard-csrf.ts'
import type { GuardedKind } from '../../../src/edge/guard-csrf.ts'
import { the } from '../../harness/the.ts'

const verdict = (kind: GuardedKind, method: string, headers: Record<string, string>): string =>
  csrfRefusal(kind, csrfFacts(method, headers), the.origin) ?? 'passes'

const X = { 'x-csrf': '1' }
const site = (value: string): Record<string, string> => ({ 'sec-fetch-site': value, 'sec-fetch-mode': 'cors' })
const origin = (value: string): Record<string, string> => ({ origin: value })
const OWN = origin(the.origin)

describe('calls that the session cookie authorises', () => {
  it.each`
    method       | headers                                                               | lands                     | because
    ${'POST'}    | ${{ ...site('same-origin'), ...X }}                                   | ${'passes'}               | ${'our own page, with the header'}
    ${'POST'}    | ${site('same-origin')}                                                | ${'csrf.header-absent'}   | ${'a form on our own origin is not a call of our frontend'}
    ${'POST'}    | ${{ ...site('same-site'), ...X }}                                     | ${'csrf.cross-site'}      | ${'siblings send Strict cookies'}
    ${'POST'}    | ${{ ...site('cross-site'), ...X }}                                    | ${'csrf.cross-site'}      | ${'another site'}
    ${'POST'}    | ${{ ...site('none'), ...X }}                                          | ${'csrf.cross-site'}      | ${'none is no proof of a user'}
    ${'POST'}    | ${{ ...site('Same-Origin'), ...X }}                                   | ${'csrf.cross-site'}      | ${'no browser writes it so'}
    ${'POST'}    | ${{ ...site('same-origin, cross-site'), ...X }}                       | ${'csrf.cross-site'}      | ${'a doubled header equals nothing'}
    ${'POST'}    | ${{ ...site(''), ...X }}                                              | ${'csrf.cross-site'}      | ${'present and empty is not absent'}
    ${'POST'}    | ${{ ...site('same-origin'), 'x-csrf': '1, 1' }}                       | ${'csrf.header-absent'}   | ${'doubled'}
    ${'POST'}    | ${{ ...site('same-origin'), 'x-csrf': '' }}                           | ${'csrf.header-absent'}   | ${'empty'}
    ${'POST'}    | ${{ ...site('same-origin'), 'x-csrf': 'true' }}                       | ${'csrf.header-absent'}   | ${'only 1 counts'}
    ${'POST'}    | ${{ ...OWN, ...X }}                                                   | ${'passes'}               | ${'no Fetch Metadata: the exact origin and the header'}
    ${'POST'}    | ${OWN}                                                                | ${'csrf.header-absent'}   | ${'the origin alone is not enough'}
    ${'POST'}    | ${X}                                                                  | ${'csrf.origin-mismatch'} | ${'nor is the header alone'}
    ${'POST'}    | ${{ ...origin('null'), ...X }}                                        | ${'csrf.origin-mismatch'} | ${'an opaque origin'}
    ${'POST'}    | ${{ ...origin(`${the.origin}:443`), ...X }}                           | ${'csrf.origin-mismatch'} | ${'byte for byte'}
    ${'POST'}    | ${{ ...origin(`${the.origin}.evil.test`), ...X }}                     | ${'csrf.origin-mismatch'} | ${'a prefix is not the origin'}
    ${'POST'}    | ${{ ...origin(the.origin.toUpperCase()), ...X }}                      | ${'csrf.origin-mismatch'} | ${'no browser writes it so'}
    ${'DELETE'}  | ${site('same-origin')}                                                | ${'csrf.header-absent'}   | ${'unsafe'}
    ${'PUT'}     | ${{ ...site('same-origin'), ...X }}                                   | ${'passes'}               | ${'unsafe, with the header'}
    ${'GET'}     | ${site('same-origin')}                                                | ${'passes'}               | ${'EventSource, images and downloads carry no header'}
    ${'HEAD'}    | ${site('same-origin')}                                                | ${'passes'}               | ${'as GET'}
    ${'GET'}     | ${X}                                                                  | ${'passes'}               | ${'without Fetch Metadata the header says it'}
    ${'GET'}     | ${{}}                                                                 | ${'csrf.header-absent'}   | ${'neither'}
    ${'GET'}     | ${OWN}                                                                | ${'csrf.header-absent'}   | ${'Origin does not stand in for it'}
    ${'GET'}     | ${{ ...site('same-site'), ...X }}                                     | ${'csrf.cross-site'}      | ${'never'}
    ${'GET'}     | ${{ ...site('cross-site'), ...X }}                                    | ${'csrf.cross-site'}      | ${'never'}
    ${'GET'}     | ${{ ...site('none'), ...X }}                                          | ${'csrf.cross-site'}      | ${'never: an API is not typed into the address bar'}
    ${'OPTIONS'} | ${{ 'sec-fetch-site': 'cross-site', ...origin('https://evil.test') }} | ${'csrf.cross-site'}      | ${'a preflight finds no way through'}
    ${'OPTIONS'} | ${{ 'sec-fetch-site': 'same-origin' }}                                | ${'csrf.header-absent'}   | ${'OPTIONS counts as unsafe'}
  `('$method $headers: $lands, $because', ({ method, headers, lands }) => {
    expect(verdict('api', method, headers)).toBe(lands)
  })
})

describe('own endpoints that a plain form may post to', () => {
  it.each`
    headers                                       | lands                     | because
    ${site('same-origin')}                        | ${'passes'}               | ${'a form of our own page'}
    ${{ ...site('same-origin'), origin: 'null' }} | ${'passes'}               | ${'under no-referrer a same-origin form has Origin: null'}
    ${site('same-site')}                          | ${'csrf.cross-site'}      | ${'a sibling signs nobody out'}
    ${site('cross-site')}                         | ${'csrf.cross-site'}      | ${'nor does another site'}
    ${{ ...site('cross-site'), ...X }}            | ${'csrf.cross-site'}      | ${'whatever header it found'}
    ${OWN}                                        | ${'passes'}               | ${'no Fetch Metadata: the exact origin'}
    ${{}}                                         | ${'csrf.origin-mismatch'} | ${'neither'}
    ${origin('null')}                             | ${'csrf.origin-mismatch'} | ${'no Fetch Metadata to tell whose null it is'}
  `('POST $headers: $lands, $because', ({ headers, lands }) => {
    expect(verdict('form', 'POST', headers)).toBe(lands)
  })
})

describe('own pages', () => {
  it.each`
    headers                                                                                           | lands                        | because
    ${{ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }} | ${'passes'}                  | ${'the provider sends the browser back'}
    ${{ 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }}       | ${'passes'}                  | ${'typed'}
    ${{ 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'empty' }}   | ${'passes'}                  | ${'through a service worker'}
    ${{}}                                                                                             | ${'passes'}                  | ${'no Fetch Metadata'}
    ${{ 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' }}       | ${'request.navigation-only'} | ${'a fetch would burn the attempt'}
    ${{ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' }}     | ${'request.navigation-only'} | ${'an image starts no sign-in'}
    ${{ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' }}   | ${'request.navigation-only'} | ${'nor does a frame'}
    ${{ 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'object' }}  | ${'request.navigation-only'} | ${'nor an object'}
  `('GET $headers: $lands, $because', ({ headers, lands }) => {
    expect(verdict('page', 'GET', headers)).toBe(lands)
  })
})

it.each`
  headers                                              | prefetch
  ${{ 'sec-purpose': 'prefetch' }}                     | ${true}
  ${{ 'sec-purpose': 'prefetch;prerender' }}           | ${true}
  ${{ 'sec-purpose': 'prefetch;anonymous-client-ip' }} | ${true}
  ${{ purpose: 'prefetch' }}                           | ${true}
  ${{ 'x-moz': 'prefetch' }}                           | ${true}
  ${{}}                                                | ${false}
`('$headers is a speculative load: $prefetch', ({ headers, prefetch }) => {
  expect(isPrefetch(headers)).toBe(prefetch)
})

it.each`
  headers                                                    | page     | because
  ${{ 'sec-fetch-mode': 'navigate' }}                        | ${true}  | ${'Fetch Metadata says so'}
  ${{ 'sec-fetch-mode': 'cors', accept: 'text/html' }}       | ${false} | ${'Fetch Metadata goes before Accept'}
  ${{ accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }} | ${true}  | ${'what browsers send for pages'}
  ${{ accept: '*/*' }}                                       | ${false} | ${'what fetch and curl send'}
  ${{ accept: 'application/json, text/html' }}               | ${false} | ${'JSON first'}
  ${{ accept: 'application/problem+json, text/html' }}       | ${false} | ${'JSON first'}
  ${{}}                                                      | ${false} | ${'nothing said'}
`('$headers gets a page: $page, $because', ({ headers, page }) => {
  expect(isNavigation(headers)).toBe(page)
})
