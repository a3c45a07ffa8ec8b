import { expect, it } from 'vitest'
import { locationRewrite } from '../../../src/proxy/location.ts'

const upstream = new URL('http://orders.internal:8080')
const same = locationRewrite({ path: '/api/orders', upstream, upstreamPath: '/api/orders' })
const stripped = locationRewrite({ path: '/api/orders', upstream, upstreamPath: '' })
const moved = locationRewrite({ path: '/api/orders', upstream, upstreamPath: '/v2' })

it.each`
  route       | given                                             | told                               | because
  ${same}     | ${'/api/orders/7'}                                | ${'/api/orders/7'}                 | ${'a path is public already'}
  ${same}     | ${'http://orders.internal:8080/api/orders/7?x#y'} | ${'/api/orders/7?x#y'}             | ${'the upstream names itself'}
  ${same}     | ${'https://orders.internal:8080/api/orders'}      | ${'/api/orders'}                   | ${'under another scheme'}
  ${same}     | ${'HTTP://ORDERS.internal:8080/api/orders'}       | ${'/api/orders'}                   | ${'in another case'}
  ${same}     | ${'//orders.internal:8080/api/orders'}            | ${'/api/orders'}                   | ${'protocol-relative'}
  ${same}     | ${'/\\orders.internal:8080/api/orders'}           | ${'/api/orders'}                   | ${'as browsers read a backslash'}
  ${same}     | ${'https://elsewhere.example/x'}                  | ${'https://elsewhere.example/x'}   | ${'another host is the upstream’s to name'}
  ${same}     | ${'http://orders.internal:9090/x'}                | ${'http://orders.internal:9090/x'} | ${'another port is another origin'}
  ${same}     | ${'http://orders.internal:8080//evil.example/x'}  | ${'/evil.example/x'}               | ${'a path never becomes a host'}
  ${same}     | ${'next?page=2'}                                  | ${'next?page=2'}                   | ${'relative to the request'}
  ${same}     | ${'?page=2'}                                      | ${'?page=2'}                       | ${'relative to the request'}
  ${same}     | ${'http://['}                                     | ${undefined}                       | ${'unreadable'}
  ${stripped} | ${'/7'}                                           | ${'/api/orders/7'}                 | ${'the route strips its path'}
  ${stripped} | ${'/'}                                            | ${'/api/orders/'}                  | ${'the upstream’s root'}
  ${stripped} | ${'http://orders.internal:8080/7'}                | ${'/api/orders/7'}                 | ${'both at once'}
  ${stripped} | ${'//evil.example/7'}                             | ${'//evil.example/7'}              | ${'another host, said openly'}
  ${moved}    | ${'/v2'}                                          | ${'/api/orders'}                   | ${'exactly the upstream path'}
  ${moved}    | ${'/v2/7'}                                        | ${'/api/orders/7'}                 | ${'below it'}
  ${moved}    | ${'/v22/7'}                                       | ${'/v22/7'}                        | ${'not at a segment'}
  ${moved}    | ${'/login'}                                       | ${'/login'}                        | ${'outside: no public name for it'}
`('$given → $told: $because', ({ route, given, told }) => {
  expect(route(given)).toBe(told)
})
