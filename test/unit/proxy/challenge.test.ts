import { describe, expect, it } from 'vitest'
import { cpuMs } from '../../harness/cpu-time.ts'
import { challengeOf } from '../../../src/proxy/challenge.ts'

describe('of a challenge only the scheme and a code are read', () => {
  it.each<[string, string | string[] | undefined, { isBearer: boolean; error: string | undefined } | undefined]>([
    ['none', undefined, undefined],
    ['a bare scheme', 'Bearer', { isBearer: true, error: undefined }],
    ['RFC 6750', 'Bearer realm="x", error="invalid_token", error_description="it expired"', { isBearer: true, error: 'invalid_token' }],
    ['without quotes', 'bearer error=insufficient_scope, scope="a b"', { isBearer: true, error: 'insufficient_scope' }],
    ['error first', 'Bearer error="invalid_token"', { isBearer: true, error: 'invalid_token' }],
    ['behind another scheme', 'Basic realm="x", Bearer error="invalid_token"', { isBearer: true, error: 'invalid_token' }],
    ['on two lines', ['Basic realm="x"', 'Bearer error="invalid_token"'], { isBearer: true, error: 'invalid_token' }],
    ['another scheme', 'DPoP error="invalid_token"', { isBearer: false, error: 'invalid_token' }],
    ['a parameter that ends alike', 'Bearer x_error="invalid_token"', { isBearer: true, error: undefined }],
    ['within a quoted text', 'Bearer realm="a, error=invalid_token"', { isBearer: true, error: undefined }],
    ['within a quoted text with escapes', 'Bearer realm="a\\", error=invalid_token"', { isBearer: true, error: undefined }],
    ['within a text that never ends', 'Bearer realm="a, error=invalid_token', { isBearer: true, error: undefined }],
    ['a scheme within a quoted text', 'Basic realm=", Bearer "', { isBearer: false, error: undefined }],
    ['a code that is no code', 'Bearer error="eyJ0 b3Blbg"', { isBearer: true, error: undefined }],
    ['a code with a line end', 'Bearer error="a\nb"', { isBearer: true, error: undefined }],
    ['a code that is too long', `Bearer error="${'a'.repeat(65)}"`, { isBearer: true, error: undefined }],
    ['an empty one', '', { isBearer: false, error: undefined }],
  ])('%s', (_what, header, wanted) => {
    expect(challengeOf(header)).toEqual(wanted)
  })

  it('a megabyte of quotes is read in no time', () => {
    const began = cpuMs()
    challengeOf(`Bearer ${'a="\\"'.repeat(200_000)}`)
    expect(cpuMs() - began).toBeLessThan(1000)
  })
})

// An API, or whoever it repeats, chooses this text; one header of hyphens cost a tenth of a second of everybody's.
it.each(['-', 'a', 'a=', 'a="', 'error ', ', ', ' '])('a challenge of nothing but %j is read in no time', (piece) => {
  const text = piece.repeat(8192)
  const began = cpuMs()
  for (let i = 0; i < 50; i += 1) expect(challengeOf(text)?.error).toBeUndefined()
  expect(cpuMs() - began).toBeLessThan(1000)
})
