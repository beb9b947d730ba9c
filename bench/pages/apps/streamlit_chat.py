"""Streamlit's chat elements, as its tutorial shows them."""

import ask
import streamlit as st

st.title("Chat")
for each in st.session_state.setdefault("messages", []):
    with st.chat_message(each["role"]):
        st.markdown(each["content"])
if prompt := st.chat_input("Say something"):
    st.session_state.messages.append({"role": "user", "content": prompt})
    with st.chat_message("user"):
        st.markdown(prompt)
    with st.chat_message("assistant"):
        said = st.write_stream(ask.answer(prompt))
    st.session_state.messages.append({"role": "assistant", "content": said})
