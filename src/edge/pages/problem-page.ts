import type { ProblemCode, ProblemDefinition } from '../../domain/problem.ts'
import type { Action, PageContent } from './layout.ts'

export interface ProblemPage {
  readonly code: ProblemCode
  readonly definition: ProblemDefinition
  readonly requestId: string
  /** Starts a sign-in that comes back here. */
  readonly loginUrl: string
  /** Where the person was, if coming back makes sense. */
  readonly retryUrl: string | undefined
}

/** The catalogue's `fix` speaks to a frontend; this speaks to a person. Which check failed is in the log only. */
export const problemPage = (content: ProblemPage): PageContent => ({
  title: content.definition.title,
  ...wording(content),
  requestId: content.requestId,
})

const wording = ({ code, definition, loginUrl, retryUrl }: ProblemPage): Omit<PageContent, 'title' | 'requestId'> & { title?: string } => {
  const signIn: Action = { label: 'Sign in', href: loginUrl }
  const again: Action = { label: 'Start the sign-in again', href: loginUrl }
  const home: Action = { label: 'Go to the start page', href: '/' }
  const retry: Action = { label: 'Try again', href: retryUrl ?? '/' }
  if (code === 'logout.reference-unknown') return { text: 'You are signed out of this application already.', actions: [home] }
  // Without a choice the provider would let the same account in again, and the person would be back here.
  const other: Action = { label: 'Use another account', href: `${loginUrl}${loginUrl.includes('?') ? '&' : '?'}prompt=select_account` }
  if (code === 'login.tenant-refused')
    return { text: 'Nothing was changed. You can sign in with an account of another organisation.', actions: [other, home] }
  if (code === 'login.subject-changed')
    return { text: 'Sign in with the account you were using, or sign out first.', actions: [again, home] }
  if (code === 'login.rate-limited')
    return { text: 'Nothing was changed. Please wait a moment before you try again.', actions: [again, home] }
  if (code === 'login.request-refused')
    return { text: 'Nothing was changed. Please tell whoever runs this application.', actions: [again, home] }
  if (code.startsWith('login.')) return { text: 'Nothing was changed. You can start the sign-in again.', actions: [again, home] }
  // A link from elsewhere, a bookmark or a typed address: of sites and headers this person knows nothing.
  if (code.startsWith('csrf.'))
    return {
      title: 'This address cannot be opened from outside the application.',
      text: 'Please start from the application itself.',
      actions: [home],
    }
  if (definition.signsInElsewhere) return { text: 'This address is for programs that bring an access token of their own.', actions: [home] }
  if (code === 'endpoint.unknown') return { text: 'The address may be mistyped, or the page may have moved.', actions: [home] }
  if (definition.status === 401) return { text: 'Please sign in to go on.', actions: [signIn, home] }
  if (definition.status === 403) return { text: 'If you think you should be able to, ask whoever runs this application.', actions: [home] }
  if (definition.status === 202) return { text: 'There is nothing more for you to do.', actions: [home] }
  if (definition.status >= 500)
    return {
      text: 'This is most likely temporary. Please try again in a moment.',
      actions: retryUrl === undefined ? [home] : [retry, home],
    }
  return { text: 'This request cannot be answered the way it was sent.', actions: [home] }
}
