import { describe, expect, it } from 'vitest'
import { parseRate } from '../../../src/config/units.ts'
import { findingsOf, good, load, loaded } from './a-config.ts'

it.each`
  text           | rate                                 | because
  ${'30/m'}      | ${{ count: 30, perMs: 60_000 }}      | ${'per minute'}
  ${'5/s'}       | ${{ count: 5, perMs: 1000 }}         | ${'per second'}
  ${'1000/h'}    | ${{ count: 1000, perMs: 3_600_000 }} | ${'per hour'}
  ${'1000000/s'} | ${{ count: 1_000_000, perMs: 1000 }} | ${'the most'}
  ${'1000001/s'} | ${undefined}                         | ${'more than the most'}
  ${'0/m'}       | ${undefined}                         | ${'nobody could sign in; off is a word'}
  ${'030/m'}     | ${undefined}                         | ${'one spelling'}
  ${'30'}        | ${undefined}                         | ${'per what?'}
  ${'30/d'}      | ${undefined}                         | ${'a day is too long for a bucket in memory'}
  ${'30 / m'}    | ${undefined}                         | ${'blanks'}
  ${'-1/m'}      | ${undefined}                         | ${'negative'}
  ${'1.5/s'}     | ${undefined}                         | ${'a fraction'}
`('$text: $because', ({ text, rate }) => {
  expect(parseRate(text)).toEqual(rate)
})

describe('login', () => {
  it('takes rates, and off for none', () => {
    const { settings } = loaded(good({}, ['login: { rate: { per_address: 5/s, global: off } }']))
    expect(settings.login.rate).toEqual({ perAddress: { count: 5, perMs: 1000 }, global: undefined })
  })
  it.each(['0/m', '30', 'false', '30/day'])('refuses %s', (value) => {
    const result = load(good({}, [`login: { rate: { per_address: '${value}' } }`]))
    expect(result.kind).toBe('refused')
    expect(findingsOf(result)[0]?.fix).toContain('off')
  })
})

describe('provider', () => {
  it('takes a JWK file, relative to the configuration', () => {
    const { settings } = loaded(good({ client_auth: '  client_auth: [{ jwk_file: keys/client.jwk }]' }))
    expect(settings.providers.default.clientAuth).toEqual([{ kind: 'jwk-file', file: '/etc/sallyport/keys/client.jwk' }])
  })
  it.each(['auto', 'on', 'off'])('par: %s', (mode) => {
    expect(loaded(good({ client_id: `  client_id: shop\n  par: ${mode}` })).settings.providers.default.par).toBe(mode)
  })
  it('par takes nothing else', () => {
    expect(load(good({ client_id: '  client_id: shop\n  par: yes' })).kind).toBe('refused')
  })
})
