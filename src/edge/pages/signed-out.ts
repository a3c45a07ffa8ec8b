import type { PageContent } from './layout.ts'

export const signedOutPage = (requestId: string, loginUrl: string): PageContent => ({
  title: 'You are signed out.',
  text: 'Close the browser if others use this device.',
  actions: [
    { label: 'Sign in again', href: loginUrl },
    { label: 'Go to the start page', href: '/' },
  ],
  requestId,
})
