import { expect, it } from 'vitest'
import { browserFamily, truncateAddress } from '../../../src/flows/visitor.ts'

it.each`
  agent                                                                                                                      | says
  ${'Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0'}                                                | ${'Firefox on Linux'}
  ${'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36'}       | ${'Chrome on Windows'}
  ${'Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Safari/537.36 Edg/156.0'}             | ${'Edge on Windows'}
  ${'Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19 Safari/604'} | ${'Safari on iOS'}
  ${'Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Mobile Safari/537.36'}              | ${'Chrome on Android'}
  ${'curl/8.0'}                                                                                                              | ${'Unknown browser'}
  ${'<script>alert(1)</script>'}                                                                                             | ${'Unknown browser'}
  ${undefined}                                                                                                               | ${'Unknown browser'}
`('$agent is $says', ({ agent, says }) => {
  expect(browserFamily(agent)).toBe(says)
})

it.each`
  address                   | kept
  ${'192.0.2.77'}           | ${'192.0.2.0/24'}
  ${'2001:db8:aa:1::7'}     | ${'2001:db8:aa::/48'}
  ${'2001:0db8:00aa::1'}    | ${'2001:db8:aa::/48'}
  ${'::1'}                  | ${'0:0:0::/48'}
  ${'fe80::1%eth0'}         | ${'fe80:0:0::/48'}
  ${'1:2:3:4:5:6:7:8'}      | ${'1:2:3::/48'}
  ${'unknown'}              | ${''}
  ${'192.0.2.77, 10.0.0.1'} | ${''}
`('of $address the card keeps $kept', ({ address, kept }) => {
  expect(truncateAddress(address)).toBe(kept)
})
