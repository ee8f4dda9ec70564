/** A saying and who said it. */
export interface Quote {
  readonly text: string;
  readonly author: string;
}

/** What /quote gives, one after another. All long in the public domain. */
export const QUOTES: readonly Quote[] = [
  { text: 'Remember that time is money.', author: 'Benjamin Franklin' },
  { text: 'A penny saved is twopence dear.', author: 'Poor Richard' },
  { text: 'Everything is worth what its purchaser will pay for it.', author: 'Publilius Syrus' },
  { text: 'Neither a borrower nor a lender be.', author: 'William Shakespeare' },
  { text: 'Brevity is the soul of wit.', author: 'William Shakespeare' },
  { text: 'What we know is a drop, what we do not know an ocean.', author: 'Isaac Newton' },
];

/** What /pack/weather says of each place. */
export const WEATHER: readonly { readonly place: string; readonly celsius: number; readonly sky: string }[] =
  [
    { place: 'Reykjavík', celsius: 4, sky: 'rain' },
    { place: 'Nairobi', celsius: 24, sky: 'clear' },
    { place: 'Lima', celsius: 18, sky: 'mist' },
    { place: 'Hanoi', celsius: 29, sky: 'thunder' },
  ];

/** Title and text of a chapter. */
export interface Chapter {
  readonly title: string;
  readonly text: string;
}

/** What /library/* holds: three sonnets of William Shakespeare (1609), public domain. */
export const CHAPTERS: readonly Chapter[] = [
  {
    title: 'Sonnet 18',
    text: `Shall I compare thee to a summer's day?
Thou art more lovely and more temperate:
Rough winds do shake the darling buds of May,
And summer's lease hath all too short a date:
Sometime too hot the eye of heaven shines,
And often is his gold complexion dimm'd;
And every fair from fair sometime declines,
By chance, or nature's changing course, untrimm'd;
But thy eternal summer shall not fade,
Nor lose possession of that fair thou ow'st;
Nor shall Death brag thou wander'st in his shade,
When in eternal lines to time thou grow'st:
  So long as men can breathe, or eyes can see,
  So long lives this, and this gives life to thee.`,
  },
  {
    title: 'Sonnet 30',
    text: `When to the sessions of sweet silent thought
I summon up remembrance of things past,
I sigh the lack of many a thing I sought,
And with old woes new wail my dear time's waste:
Then can I drown an eye, unused to flow,
For precious friends hid in death's dateless night,
And weep afresh love's long since cancell'd woe,
And moan th' expense of many a vanish'd sight:
Then can I grieve at grievances foregone,
And heavily from woe to woe tell o'er
The sad account of fore-bemoaned moan,
Which I new pay as if not paid before.
  But if the while I think on thee, dear friend,
  All losses are restor'd and sorrows end.`,
  },
  {
    title: 'Sonnet 116',
    text: `Let me not to the marriage of true minds
Admit impediments. Love is not love
Which alters when it alteration finds,
Or bends with the remover to remove:
O no! it is an ever-fixed mark
That looks on tempests and is never shaken;
It is the star to every wandering bark,
Whose worth's unknown, although his height be taken.
Love's not Time's fool, though rosy lips and cheeks
Within his bending sickle's compass come;
Love alters not with his brief hours and weeks,
But bears it out even to the edge of doom.
  If this be error and upon me proved,
  I never writ, nor no man ever loved.`,
  },
];
