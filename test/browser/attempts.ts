import type { Page } from 'playwright-core'

/** Ways a page has of sending a request, each run in the page with the URL as its argument. They share nothing, because the browser gets their text only. */
export interface Attempt {
  readonly by: string
  readonly run: (page: Page, url: string) => Promise<unknown>
  /** The browser asks first, by OPTIONS, and goes no further. */
  readonly preflighted?: boolean
  /** Leaves the page. */
  readonly leaves?: boolean
}

const inPage =
  (script: (url: string) => unknown) =>
  (page: Page, url: string): Promise<unknown> =>
    page.evaluate(script, url)

const ofElement = (name: string, property: 'src' | 'data') => (page: Page, url: string) =>
  page.evaluate(([tag, key, to]) => void document.body.append(Object.assign(document.createElement(tag), { [key]: to })), [
    name,
    property,
    url,
  ] as const)

const form = (method: string, enctype: string, target: string) => (page: Page, url: string) =>
  page.evaluate(
    ([as, type, into, to]) => {
      if (into !== '_self') document.body.append(Object.assign(document.createElement('iframe'), { name: into }))
      const sent = Object.assign(document.createElement('form'), { method: as, enctype: type, target: into, action: to })
      sent.append(Object.assign(document.createElement('input'), { name: '{"item":"', value: 'x"}' }))
      document.body.append(sent)
      sent.submit()
    },
    [method, enctype, target, url] as const,
  )

const fetching =
  (init: Readonly<Record<string, string | boolean | Readonly<Record<string, string>>>>) =>
  (page: Page, url: string): Promise<unknown> =>
    page.evaluate(([to, how]) => fetch(to, how as RequestInit).then((answer) => answer.type, String), [url, init] as const)

export const ATTEMPTS: readonly Attempt[] = [
  { by: 'fetch', run: fetching({ credentials: 'include' }) },
  { by: 'no-cors fetch', run: fetching({ mode: 'no-cors', credentials: 'include' }) },
  { by: 'keepalive fetch', run: fetching({ mode: 'no-cors', credentials: 'include', keepalive: true }) },
  { by: 'fetch POST of text', run: fetching({ method: 'POST', mode: 'no-cors', credentials: 'include', body: '{"item":"x"}' }) },
  {
    by: 'fetch POST of a form',
    run: fetching({
      method: 'POST',
      credentials: 'include',
      body: 'item=x',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    }),
  },
  { by: 'fetch with X-CSRF', run: fetching({ credentials: 'include', headers: { 'x-csrf': '1' } }), preflighted: true },
  { by: 'fetch DELETE', run: fetching({ method: 'DELETE', credentials: 'include' }), preflighted: true },
  {
    by: 'fetch POST of JSON',
    run: fetching({ method: 'POST', credentials: 'include', body: '{}', headers: { 'content-type': 'application/json' } }),
    preflighted: true,
  },
  {
    by: 'XMLHttpRequest',
    run: inPage((url) => {
      const request = new XMLHttpRequest()
      request.open('POST', url)
      request.withCredentials = true
      request.send('item=x')
    }),
  },
  { by: 'EventSource', run: inPage((url) => void new EventSource(url, { withCredentials: true })) },
  { by: 'sendBeacon', run: inPage((url) => navigator.sendBeacon(url, 'item=x')) },
  { by: 'image', run: ofElement('img', 'src') },
  { by: 'script', run: ofElement('script', 'src') },
  { by: 'video', run: ofElement('video', 'src') },
  { by: 'iframe', run: ofElement('iframe', 'src') },
  { by: 'embed', run: ofElement('embed', 'src') },
  { by: 'object', run: ofElement('object', 'data') },
  {
    by: 'stylesheet',
    run: inPage((url) => document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: url }))),
  },
  { by: 'CSS image', run: inPage((url) => (document.body.style.background = `url("${url}")`)) },
  {
    by: 'link prefetch',
    run: inPage((url) => document.head.append(Object.assign(document.createElement('link'), { rel: 'prefetch', href: url }))),
  },
  {
    by: 'sandboxed frame',
    run: inPage((url) =>
      document.body.append(
        Object.assign(document.createElement('iframe'), {
          sandbox: 'allow-scripts allow-forms',
          srcdoc: `<form method="post" action="${url}"></form><script>document.forms[0].submit()</script>`,
        }),
      ),
    ),
  },
  { by: 'framed form POST of text', run: form('post', 'text/plain', 'frame') },
  { by: 'form POST', run: form('post', 'application/x-www-form-urlencoded', '_self'), leaves: true },
  { by: 'form POST of text', run: form('post', 'text/plain', '_self'), leaves: true },
  { by: 'multipart form POST', run: form('post', 'multipart/form-data', '_self'), leaves: true },
  { by: 'form GET', run: form('get', 'application/x-www-form-urlencoded', '_self'), leaves: true },
  { by: 'navigation', run: inPage((url) => void (location.href = url)), leaves: true },
  { by: 'pop-up', run: inPage((url) => void window.open(url)), leaves: true },
  {
    by: 'download link',
    run: inPage((url) => Object.assign(document.createElement('a'), { href: url, download: 'x' }).click()),
    leaves: true,
  },
  {
    by: 'ping',
    run: inPage((url) => Object.assign(document.createElement('a'), { href: '#here', ping: url }).click()),
  },
]
