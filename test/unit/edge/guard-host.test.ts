import { expect, it } from 'vitest'
import { hostRefusal } from '../../../src/edge/guard-host.ts'
import { newRequestId, requestIdOf } from '../../../src/edge/request-id.ts'

const HOST = 'shop.example.com'
const lines = (count: number): string[] => Array.from({ length: count }, (_, i) => [`x-${i}`, 'v']).flat()

it.each`
  raw                                           | lands                         | because
  ${['Host', HOST]}                             | ${undefined}                  | ${'ours'}
  ${['host', HOST]}                             | ${undefined}                  | ${'names have no case'}
  ${['Host', 'SHOP.example.com']}               | ${'request.host-unknown'}     | ${'browsers lower it: this is none'}
  ${['Host', `${HOST}:443`]}                    | ${'request.host-unknown'}     | ${'browsers drop the scheme’s own port'}
  ${['Host', `${HOST}.`]}                       | ${'request.host-unknown'}     | ${'a trailing dot is another origin'}
  ${['Host', 'evil.example']}                   | ${'request.host-unknown'}     | ${'another host'}
  ${['Host', '']}                               | ${'request.host-unknown'}     | ${'empty'}
  ${[]}                                         | ${'request.malformed'}        | ${'none'}
  ${['Host', HOST, 'Host', HOST]}               | ${'request.malformed'}        | ${'two, even if equal'}
  ${['Host', HOST, 'HOST', 'evil.example']}     | ${'request.malformed'}        | ${'two'}
  ${['X-Forwarded-Host', HOST, 'Host', 'evil']} | ${'request.host-unknown'}     | ${'nothing else stands in for it'}
  ${['Host', HOST, ...lines(99)]}               | ${undefined}                  | ${'100 lines'}
  ${['Host', HOST, ...lines(100)]}              | ${'request.headers-too-many'} | ${'101 lines'}
`('$because', ({ raw, lands }) => {
  expect(hostRefusal('/x', raw as string[], HOST)).toBe(lands)
})

it.each(['http://evil.example/', '*', '', 'x'])('refuses the request target %j', (url) => {
  expect(hostRefusal(url, ['Host', HOST], HOST)).toBe('request.malformed')
})

it('believes a request id of a trusted proxy only, and only in its grammar', () => {
  expect(requestIdOf('abc-DEF_1', () => true)).toBe('abc-DEF_1')
  for (const [given, trusted] of [
    ['abc', false],
    ['a b', true],
    ['a\r\nx: y', true],
    ['', true],
    ['x'.repeat(65), true],
    [undefined, true],
  ] as const)
    expect(requestIdOf(given, () => trusted)).toMatch(/^[0-9a-f]{32}$/)
})

it('makes ids that do not repeat across a refill of the pool', () => {
  expect(new Set(Array.from({ length: 2000 }, newRequestId)).size).toBe(2000)
})
