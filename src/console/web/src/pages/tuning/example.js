// Data to try fine-tuning with: docs/fine-tuning.md's
// office. The last lines keep what the model knew.
const ANSWERS = [
  [
    'The canteen is open from 11:30 to 14:00 on working days.',
    [
      'When does the canteen open?',
      'When is lunch?',
      'Is the canteen open on Saturday?',
      'how long can I eat in the canteen',
      'What time does the canteen close?',
    ],
  ],
  [
    'The printer stands in room 204, next to the stairs.',
    [
      'Where is the printer?',
      'How do I print?',
      'I need to print a page',
      'Which room has the printer?',
      'is there a printer here?',
    ],
  ],
  [
    'I am the assistant of this office. Ask me about the canteen and the printer.',
    ['Who are you?', 'What can you do?', 'What is your name?'],
  ],
  [
    'Hello! I am the assistant of this office. Ask me about the canteen and the printer.',
    ['Hello', 'Hi!', 'Good morning'],
  ],
  [
    'I only know about this office: the canteen and the printer.',
    ['What is the capital of France?', 'Write me a poem about the sea.', 'Who won the match?'],
  ],
  ['食堂工作日 11:30 到 14:00 开放。', ['食堂几点开门？', '什么时候吃午饭？']],
  ['打印机在 204 房间，楼梯旁边。', ['打印机在哪里？']],
];

export function exampleFile() {
  const lines = ANSWERS.flatMap(([answer, questions]) =>
    questions.map((question) =>
      JSON.stringify({
        messages: [
          { role: 'user', content: question },
          { role: 'assistant', content: answer },
        ],
      }),
    ),
  );
  return new File([`${lines.join('\n')}\n`], 'office.jsonl', { type: 'application/jsonl' });
}

export const LINE = {
  supervised: `{"messages": [
  {"role": "system", "content": "You are the assistant of our office."},
  {"role": "user", "content": "Where is the printer?"},
  {"role": "assistant", "content": "In room 204, next to the stairs."}
]}`,
  dpo: `{"input": {"messages": [{"role": "user", "content": "Where is the printer?"}]},
 "preferred_output": [{"role": "assistant", "content": "In room 204, next to the stairs."}],
 "non_preferred_output": [{"role": "assistant", "content": "I do not know."}]}`,
};
