import type { IncomingMessage } from 'node:http'
import { expect, it } from 'vitest'
import { trustedProxies } from '../../../src/proxy/trusted-proxies.ts'

const request = (peer: string | undefined, forwardedFor?: string): IncomingMessage =>
  ({
    socket: { remoteAddress: peer },
    headers: forwardedFor === undefined ? {} : { 'x-forwarded-for': forwardedFor },
  }) as unknown as IncomingMessage
const blocks = ['10.0.0.0/8', '192.0.2.9', 'fd00::/8']

it.each`
  trusted   | peer                 | header                              | chain                                      | because
  ${[]}     | ${'10.0.0.1'}        | ${'6.6.6.6'}                        | ${['10.0.0.1']}                            | ${'nobody is trusted'}
  ${blocks} | ${'203.0.113.5'}     | ${'6.6.6.6'}                        | ${['203.0.113.5']}                         | ${'the peer is not trusted'}
  ${blocks} | ${'10.0.0.1'}        | ${undefined}                        | ${['10.0.0.1']}                            | ${'nothing said'}
  ${blocks} | ${'10.0.0.1'}        | ${'203.0.113.5'}                    | ${['203.0.113.5', '10.0.0.1']}             | ${'one hop'}
  ${blocks} | ${'::ffff:10.0.0.1'} | ${'203.0.113.5'}                    | ${['203.0.113.5', '10.0.0.1']}             | ${'dual-stack peer'}
  ${blocks} | ${'192.0.2.9'}       | ${'203.0.113.5'}                    | ${['203.0.113.5', '192.0.2.9']}            | ${'a single address'}
  ${blocks} | ${'192.0.2.8'}       | ${'203.0.113.5'}                    | ${['192.0.2.8']}                           | ${'its neighbour'}
  ${blocks} | ${'fd00::1'}         | ${'2001:db8::7'}                    | ${['2001:db8::7', 'fd00::1']}              | ${'IPv6'}
  ${blocks} | ${'10.0.0.1'}        | ${'6.6.6.6, 203.0.113.5, 10.2.2.2'} | ${['203.0.113.5', '10.2.2.2', '10.0.0.1']} | ${'right-most untrusted'}
  ${blocks} | ${'10.0.0.1'}        | ${'10.9.9.9, 10.2.2.2'}             | ${['10.9.9.9', '10.2.2.2', '10.0.0.1']}    | ${'all trusted'}
  ${blocks} | ${'10.0.0.1'}        | ${'203.0.113.5, garbage, 10.2.2.2'} | ${['10.2.2.2', '10.0.0.1']}                | ${'left of garbage nothing is believed'}
  ${blocks} | ${'10.0.0.1'}        | ${'203.0.113.5:4711'}               | ${['203.0.113.5', '10.0.0.1']}             | ${'with a port'}
  ${blocks} | ${'10.0.0.1'}        | ${'[2001:db8::7]:4711'}             | ${['2001:db8::7', '10.0.0.1']}             | ${'IPv6 with a port'}
  ${blocks} | ${'10.0.0.1'}        | ${''}                               | ${['10.0.0.1']}                            | ${'empty'}
  ${blocks} | ${undefined}         | ${'203.0.113.5'}                    | ${['unknown']}                             | ${'a Unix socket'}
`('$peer said $header: $because', ({ trusted, peer, header, chain }) => {
  expect(trustedProxies(trusted).chainOf(request(peer, header))).toEqual(chain)
})
it('refuses what is not an address', () => {
  expect(() => trustedProxies(['proxy.internal'])).toThrow('listen.trusted_proxies')
})
it('does not follow an endless list', () => {
  expect(trustedProxies(['10.0.0.0/8']).chainOf(request('10.0.0.1', '10.0.0.2, '.repeat(5000))).length).toBeLessThan(20)
  expect(trustedProxies(['10.0.0.0/8']).chainOf(request('10.0.0.1', Array(5000).fill('10.0.0.2').join(','))).length).toBeLessThan(20)
})
