/** What operators find a workflow by, where nobody else has said it. */
export interface FoundBy {
  readonly tenant: string;
  readonly agent?: string;
  readonly tool?: string;
}

/** Told to a workflow that is to mark itself. */
export interface Findable {
  readonly foundBy?: FoundBy;
}

export interface FindableDeps {
  /** Whether the namespace knows our search attributes by now: one that does not would fail the workflow's task. */
  readonly knowsAttributes: () => boolean;
}

/**
 * What a workflow that an application has started is to be found by. The REST API sets the attributes itself, and says until when
 * its workflows may begin.
 */
export function foundBy({ knowsAttributes }: FindableDeps, input: unknown, by: FoundBy): Findable {
  const isByRest = Object(input).begin_before !== undefined;
  return isByRest || !knowsAttributes() ? {} : { foundBy: by };
}
