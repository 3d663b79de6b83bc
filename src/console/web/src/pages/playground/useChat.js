// The state of the playground: one or two panes, each a model with its conversation, and the
// answers that come just now. Pieces are gathered and shown once a frame.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../../lib/api.js';
import { addEvent, bodyOf, endAnswer, newAnswer, newId } from './run.js';

const PATH = '/v1/chat/completions';

export function useChat(first) {
  const [panes, setPanes] = useState(first);
  const live = useRef(new Map()); // id of an answer -> {answer, stop}
  const frame = useRef(0);
  const now = useRef(panes);
  now.current = panes;

  const flush = useCallback(() => {
    frame.current = 0;
    setPanes((list) =>
      list.map((p) => ({
        ...p,
        messages: p.messages.map((m) => live.current.get(m.id)?.answer ?? m),
      })),
    );
    for (const [id, r] of live.current) if (r.answer.state !== 'running') live.current.delete(id);
  }, []);

  const later = useCallback(() => {
    if (!frame.current) frame.current = requestAnimationFrame(flush);
  }, [flush]);

  const stop = useCallback(() => {
    for (const r of live.current.values()) r.stop.abort();
  }, []);

  useEffect(
    () => () => {
      stop();
      cancelAnimationFrame(frame.current);
    },
    [stop],
  );

  // Asks the model of a pane for what comes after these messages.
  const ask = useCallback(
    (at, model, messages, system, body) => {
      const r = {
        answer: newAnswer(model, Boolean(body.response_format)),
        stop: new AbortController(),
      };
      const sent = bodyOf(model, system, messages, body);
      live.current.set(r.answer.id, r);
      setPanes((list) =>
        list.map((p, i) => (i === at ? { ...p, model, messages: [...messages, r.answer] } : p)),
      );
      api
        .stream(
          PATH,
          sent,
          (event) => {
            r.answer = addEvent(r.answer, event);
            later();
          },
          r.stop.signal,
          {
            onOpen: (res) => {
              r.answer = { ...r.answer, request: res.headers.get('x-request-id') };
            },
          },
        )
        .then(
          () => {
            r.answer = endAnswer(r.answer, 'done');
          },
          (e) => {
            const stopped = r.stop.signal.aborted;
            const error = stopped
              ? null
              : {
                  message: e.message,
                  original: e.original,
                  code: e.code,
                  status: e.status,
                  param: e.param,
                };
            r.answer = endAnswer(r.answer, 'stopped', error);
            r.answer.request ??= e.id ?? null;
          },
        )
        .finally(later);
    },
    [later],
  );

  // One user's message to every pane.
  const say = useCallback(
    (content, models, system, body) => {
      const turn = newId();
      now.current.forEach((p, i) => {
        const mine = { id: newId(), turn, role: 'user', content };
        ask(i, models[i], [...p.messages, mine], system, body);
      });
    },
    [ask],
  );

  // The same message said otherwise: what came after it goes, in every pane that has it.
  const sayAgain = useCallback(
    (turn, content, models, system, body) => {
      now.current.forEach((p, i) => {
        const at = p.messages.findIndex((m) => m.turn === turn);
        if (at < 0) return;
        const mine = { ...p.messages[at], content };
        ask(i, models[i], [...p.messages.slice(0, at), mine], system, body);
      });
    },
    [ask],
  );

  // Another answer in the place of this one.
  const regenerate = useCallback(
    (at, id, model, system, body) => {
      const { messages } = now.current[at];
      const k = messages.findIndex((m) => m.id === id);
      if (k >= 0) ask(at, model, messages.slice(0, k), system, body);
    },
    [ask],
  );

  // What the tools said: [{id, name, content}].
  const answerTools = useCallback(
    (at, results, model, system, body) => {
      const said = results.map((r) => ({
        id: newId(),
        role: 'tool',
        callId: r.id,
        name: r.name,
        content: r.content,
      }));
      ask(at, model, [...now.current[at].messages, ...said], system, body);
    },
    [ask],
  );

  const running = panes.some((p) => p.messages.some((m) => m.state === 'running'));
  return { panes, setPanes, running, say, sayAgain, regenerate, answerTools, stop };
}
