"""Pages about a training run, served to the browser of the machine they are made on.

    server        who may ask, and what every answer says of itself; turns: one question at a time
    shell         the frame of all pages; addresses: where each of them is
    viewed        the run that is looked at, opened at the first question
    asked         what an address asks for, and how a question is refused
    origins       from tokens back to the mix, and to the files of documents before it
    stored        one document of a file, and what its attributes say
    copies        all documents of an id, with their texts as tokens and before
    contexts      what stands around a phrase
    highlighting  a text with spans in colours
    *_view        a page each: start, step, document (with document_parts and sightings), phrase

A page is made whole by the server and has an address of its own; nothing is kept between two.
"""
