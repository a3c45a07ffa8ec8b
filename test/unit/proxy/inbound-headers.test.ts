import { expect, it } from 'vitest'
import { inboundHeaders } from '../../../src/proxy/inbound-headers.ts'

const rules = { setCookie: new Set(['a']), isOwnCookie: () => false, location: () => undefined, constants: [] }
const cacheControl = (given: string): string | undefined => {
  const headers = inboundHeaders({ 'cache-control': given }, rules, true)
  return headers[headers.indexOf('cache-control') + 1]
}

// An upstream's header of 16 kB, which its parser takes, stopped everybody for a second.
it.each(['\\"', '"', '\\', ', no-cache', ' ', ',', 'a="', 'a=b '])('a cache directive of nothing but %j is read in no time', (piece) => {
  const began = performance.now()
  for (const head of ['', '"', 'private']) for (let i = 0; i < 10; i += 1) cacheControl(head + piece.repeat(16_000 / piece.length))
  expect(performance.now() - began).toBeLessThan(1000)
})

it('a list of directives that is longer than anybody means is kept by nobody', () => {
  expect(cacheControl(`public, max-age=60, x="${'y'.repeat(3000)}"`)).toBe('no-store')
  expect(cacheControl(`public, max-age=60, x="${'y'.repeat(300)}"`)).toBe(`private, max-age=60, x="${'y'.repeat(300)}"`)
})
